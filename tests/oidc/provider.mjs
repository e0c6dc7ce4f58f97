// A certified OpenID provider on loopback, for the tests: device flow, browser flow with PKCE, client credentials, JWT
// access tokens by resource, tokens bound to a key (DPoP). Prints {"issuer": ...} when it listens; ends when its standard
// input does. /-/rotate gives it new keys, /-/dpop?on=0 takes DPoP away.
import http from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Provider } from 'oidc-provider';

// What a resource's tokens say, and how long they live. `past` tokens are over when they come.
const RESOURCES = {
  'urn:eger:data': { audience: 'eger', ttl: 600 },
  'urn:eger:brief': { audience: 'eger', ttl: 30 },
  'urn:eger:past': { audience: 'eger', ttl: 600 },
  'urn:eger:elsewhere': { audience: 'another-platform', ttl: 600 },
};

// Standard output is for the one line that says where it listens.
console.info = console.error;

let turn = 0;
function keys() {
  turn += 1;
  return [['rsa', { modulusLength: 2048 }, 'RS256'], ['ed25519', {}, 'EdDSA']].map(([kind, options, alg]) => ({
    ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }),
    use: 'sig', alg, kid: `${alg}-${turn}`,
  }));
}

const server = http.createServer((request, response) => handle(request, response));
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const cookieKeys = [randomBytes(32).toString('hex')];
const nonceSecret = randomBytes(32);
let dpop = true;
let current = keys();
let callback;

function start() {
  const provider = new Provider(issuer, {
    jwks: { keys: current },
    cookies: { keys: cookieKeys },
    clients: [
      {
        client_id: 'eger-cli', token_endpoint_auth_method: 'none', application_type: 'native', response_types: ['code'],
        grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'authorization_code', 'refresh_token'],
        redirect_uris: ['http://127.0.0.1/back'], id_token_signed_response_alg: 'RS256',
      },
      { client_id: 'robot', client_secret: 'robot-secret', grant_types: ['client_credentials'], response_types: [], redirect_uris: [] },
    ],
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      clientCredentials: { enabled: true },
      dPoP: { enabled: dpop, nonceSecret, requireNonce: () => true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_ctx, _client, oneOf) => oneOf ?? 'urn:eger:data',
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => {
          const { audience, ttl } = RESOURCES[resource];
          return { audience, accessTokenTTL: ttl, accessTokenFormat: 'jwt', scope: 'data', jwt: { sign: { alg: 'RS256' } } };
        },
      },
    },
    ttl: { DeviceCode: 600, Grant: 3600, Interaction: 600, Session: 3600, IdToken: 600, RefreshToken: 3600 },
    formats: {
      customizers: {
        jwt: (_ctx, token, parts) => {
          if (token.resourceServer?.identifier() === 'urn:eger:past') parts.payload.exp = parts.payload.iat - 120;
        },
      },
    },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    renderError: (ctx, out) => { ctx.body = JSON.stringify(out); },
  });
  callback = provider.callback();
}

function handle(request, response) {
  const url = new URL(request.url, issuer);
  if (url.pathname === '/-/rotate') {
    current = keys();
    start();
    response.end();
  } else if (url.pathname === '/-/dpop') {
    dpop = url.searchParams.get('on') !== '0';
    start();
    response.end();
  } else {
    callback(request, response);
  }
}

start();
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
console.log(JSON.stringify({ issuer }));
