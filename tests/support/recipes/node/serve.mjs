// A service with the recipe of docs/backends/node.md, on a free port that it prints.
import { createServer } from "node:http";
import { middleware } from "./identity.mjs";

const [issuer, audience, keysUrl] = process.argv.slice(2);
const check = middleware({ issuer, audience, keysUrl });
const server = createServer((request, response) =>
  check(request, response, () => {
    const { sub, tenant, scope } = request.caller;
    response.end(JSON.stringify({ sub, tenant, scope }));
  }),
);
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
