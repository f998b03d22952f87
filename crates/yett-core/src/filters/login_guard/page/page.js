"use strict";
(() => {
  const part = (id) => document.getElementById(id);
  const [work, bar, status, go] = ["work", "bar", "status", "go"].map(part);
  const { challenge: text, most: tries, form } = part("check").dataset;
  const isForm = form === "true";
  // How often this page has just come back after a check that counted: without cookies it would for ever.
  const before = history.state?.at > Date.now() - 60_000 ? history.state.checks : 0;

  const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
  const hex = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");

  const backToForm = () => {
    if (history.length > 1) history.back();
    else location.assign(document.referrer.startsWith(location.origin + "/") ? document.referrer : location.href);
  };

  const offer = (says, label, action) => {
    status.textContent = says;
    go.textContent = label;
    go.onclick = action;
    go.hidden = false;
    go.focus();
  };
  const again = (says) => {
    bar.hidden = true;
    if (isForm) offer(says, "Back to the form", backToForm);
    else offer(says, "Try again", () => { history.replaceState(null, ""); location.reload(); });
  };

  const solve = async ({ nonce, salt, cost, keyLength, keyPrefix }) => {
    const start = bytes(nonce), wanted = bytes(keyPrefix), most = Number(tries);
    const how = { name: "PBKDF2", hash: "SHA-256", salt: bytes(salt), iterations: cost };
    const derive = async (counter) => {
      const password = new Uint8Array(start.length + 4);
      password.set(start);
      new DataView(password.buffer).setUint32(start.length, counter);
      const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
      return new Uint8Array(await crypto.subtle.deriveBits(how, key, keyLength * 8));
    };
    let next = 0, found = null;
    // Browsers derive beside the page, on as many processors as they get.
    const lane = async () => {
      while (!found && next <= most) {
        const counter = next++;
        const key = await derive(counter);
        if (wanted.every((byte, at) => key[at] === byte)) found = { counter, derivedKey: hex(key) };
        if (counter % 16 === 0) bar.value = counter / most;
      }
    };
    const lanes = Math.min(Math.max(navigator.hardwareConcurrency || 2, 2), 8);
    await Promise.all(Array.from({ length: lanes }, lane));
    return found;
  };

  const run = async () => {
    if (!navigator.cookieEnabled) return again("This check needs a cookie. Allow cookies for this site, then try again.");
    if (!globalThis.crypto?.subtle) return again("This browser cannot do the check. Update it, or use another one.");
    status.textContent = isForm ? "Your browser is calculating…" : "Your browser is calculating. You need not do anything…";
    const challenge = JSON.parse(text);
    const solution = await solve(challenge.parameters);
    if (!solution) return again("The check came to nothing. Try again.");
    bar.value = 1;
    const answer = await fetch("/.yett/challenge", {
      method: "POST", headers: { "content-type": "application/json" }, credentials: "same-origin", redirect: "error",
      body: JSON.stringify({ challenge, solution }),
    });
    if (!answer.ok) {
      const problem = await answer.json().catch(() => ({}));
      return again(`The check did not count: ${problem.detail || problem.title || "the answer cannot be read"}.`);
    }
    if (isForm) {
      document.title = "Go back and send the form again";
      return offer("Done. Now send it once more.", "Back to the form", backToForm);
    }
    status.textContent = "Done. You are being taken on…";
    history.replaceState({ checks: before + 1, at: Date.now() }, "");
    location.reload();
  };

  work.hidden = false;
  if (before > 1) again("The check was done, and is asked for again. Allow cookies for this site, or wait a few minutes.");
  else run().catch(() => again("The check could not be finished. Look at your connection, then try again."));
})();
