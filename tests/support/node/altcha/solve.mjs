// Solves the challenge on standard input with ALTCHA's own library, and prints the solution.
import { readFileSync } from "node:fs";
import { solveChallenge } from "altcha-lib";
import { deriveKey } from "altcha-lib/algorithms/pbkdf2";

const challenge = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(await solveChallenge({ challenge, deriveKey })));
