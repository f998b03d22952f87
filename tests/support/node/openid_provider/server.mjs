// An OpenID provider (oidc-provider, OpenID certified) under the control of a test.
//
// Reads one JSON document a line from standard input, answers each with one line. The first starts it; each later one
// changes what it names and keeps the rest. What was issued stays valid, only keys that left the set do not.

import { X509Certificate } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import readline from 'node:readline';

import Provider from 'oidc-provider';

// Newer than Node.js 20.
URL.parse ??= (text, base) => { try { return new URL(text, base); } catch { return null; } };

const settings = {
  clients: [], keys: [], resources: {}, claims: {}, tls: null, algorithm: 'ES256', ttl: {}, acr_values: [], features: {},
};
const stores = new Map();
let server;
let handler;
let issuer;
const seen = [];

class Memory {
  constructor(model) {
    if (!stores.has(model)) stores.set(model, new Map());
    this.store = stores.get(model);
  }

  async upsert(id, payload, expiresIn) {
    this.store.set(id, { payload, until: expiresIn ? Date.now() + expiresIn * 1000 : Infinity });
  }

  async find(id) {
    const found = this.store.get(id);
    return found && found.until > Date.now() ? found.payload : undefined;
  }

  async by(name, value) {
    for (const { payload, until } of this.store.values()) {
      if (payload[name] === value && until > Date.now()) return payload;
    }
    return undefined;
  }

  async findByUid(uid) { return this.by('uid', uid); }

  async findByUserCode(userCode) { return this.by('userCode', userCode); }

  async consume(id) { this.store.get(id).payload.consumed = Math.floor(Date.now() / 1000); }

  async destroy(id) { this.store.delete(id); }

  async revokeByGrantId(grantId) {
    for (const store of stores.values()) {
      for (const [id, { payload }] of store) if (payload.grantId === grantId) store.delete(id);
    }
  }
}

const certificateOf = (ctx) => ctx.socket.getPeerX509Certificate?.();

function features() {
  return {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: async () => true },
    revocation: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      // Signs out without asking.
      logoutSource: async (ctx, form) => {
        const submit = '<input type="hidden" name="logout" value="yes">';
        ctx.body = `<!doctype html>${form.replace('</form>', `${submit}</form>`)}`
          + '<script>document.getElementById("op.logoutForm").submit()</script>'
          + '<button form="op.logoutForm" id="logout">sign out</button>';
      },
    },
    backchannelLogout: { enabled: true },
    dPoP: { enabled: true },
    mTLS: {
      enabled: settings.tls !== null,
      certificateBoundAccessTokens: true,
      tlsClientAuth: true,
      selfSignedTlsClientAuth: true,
      getCertificate: (ctx) => { const found = certificateOf(ctx); return found && new X509Certificate(found.raw); },
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) => {
        const found = certificateOf(ctx);
        if (!found) return false;
        if (property === 'tls_client_auth_san_dns') return found.subjectAltName?.split(', ').includes(`DNS:${expected}`);
        return property === 'tls_client_auth_subject_dn' && found.subject.split('\n').reverse().join(',') === expected;
      },
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: async (ctx, client, oneOf) => oneOf ?? settings.default_resource,
      useGrantedResource: async () => true,
      getResourceServerInfo: async (ctx, resource) => {
        const found = settings.resources[resource];
        if (!found) throw Object.assign(new Error('invalid_target'), { status: 400, statusCode: 400, expose: true });
        return {
          scope: found.scope ?? '',
          audience: found.audience ?? resource,
          accessTokenFormat: found.format ?? 'jwt',
          accessTokenTTL: found.ttl ?? 300,
          jwt: { sign: { alg: settings.algorithm } },
        };
      },
    },
    ...settings.features,
  };
}

function build() {
  const provider = new Provider(issuer, {
    adapter: Memory,
    clients: settings.clients,
    clientDefaults: { id_token_signed_response_alg: settings.algorithm },
    jwks: { keys: settings.keys },
    features: features(),
    cookies: { keys: ['only for tests'] },
    pkce: { required: () => true },
    scopes: ['openid', 'offline_access', 'profile', 'email'],
    acrValues: settings.acr_values,
    claims: { openid: ['sub', 'sid'], email: ['email'], profile: ['name'], ...settings.claims },
    conformIdTokenClaims: false,
    ttl: { AccessToken: 300, ClientCredentials: 300, IdToken: 300, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600, ...settings.ttl },
    rotateRefreshToken: true,
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    enabledJWA: { clientAuthSigningAlgValues: ['HS256', 'RS256', 'PS256', 'ES256', 'EdDSA'] },
    extraTokenClaims: async () => settings.token_claims,
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: async (ctx, sub) => ({
      accountId: sub,
      claims: async () => ({ sub, name: sub, email: `${sub}@shop.example`, ...(settings.accounts ?? {})[sub] }),
    }),
    // Nobody is asked for consent.
    loadExistingGrant: async (ctx) => {
      const { client, session, params } = ctx.oidc;
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid offline_access profile email');
      grant.addOIDCClaims(['sub', 'sid', 'name', 'email', 'acr', 'auth_time']);
      for (const [resource, { scope }] of Object.entries(settings.resources)) grant.addResourceScope(resource, scope ?? params.scope);
      await grant.save();
      return grant;
    },
  });
  provider.on('server_error', (ctx, error) => process.stderr.write(`${error.stack}\n`));
  const inner = provider.callback();
  handler = (request, response) => {
    seen.push(`${request.method} ${request.url.split('?')[0]}`);
    const uid = /^\/interaction\/([^/?]+)$/.exec(request.url)?.[1];
    if (uid) return interaction(provider, request, response).catch((error) => response.writeHead(400).end(String(error)));
    return inner(request, response);
  };
}

// A page with one field, `login`; the level of assurance is what was asked for.
async function interaction(provider, request, response) {
  const { params } = await provider.interactionDetails(request, response);
  if (request.method === 'GET') {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<!doctype html><title>Sign in</title><form method="post"><input name="login" id="login" autofocus><button id="go">Sign in</button></form>');
    return;
  }
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const login = new URLSearchParams(Buffer.concat(chunks).toString()).get('login');
  const acr = params.acr_values?.split(' ').find((one) => settings.acr_values.includes(one));
  const result = login ? { login: { accountId: login, ...(acr && { acr }), amr: ['pwd'] } } : { error: 'access_denied' };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

async function start() {
  const dispatch = (request, response) => handler(request, response);
  server = settings.tls
    ? https.createServer({ cert: settings.tls.certificate, key: settings.tls.key, ca: settings.tls.ca, requestCert: true, rejectUnauthorized: false }, dispatch)
    : http.createServer(dispatch);
  await new Promise((resolve) => { server.listen(settings.port ?? 0, '127.0.0.1', resolve); });
  const { port } = server.address();
  issuer = settings.tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  try {
    const { command, ...changes } = JSON.parse(line);
    Object.assign(settings, changes);
    if (!server) await start();
    if (command === 'forget') for (const store of stores.values()) store.clear();
    if (command !== 'seen') build();
    process.stdout.write(`${JSON.stringify({ issuer, seen })}\n`);
    if (command === 'seen') seen.length = 0;
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: error.stack })}\n`);
  }
}
process.exit(0);
