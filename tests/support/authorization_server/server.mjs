// A certified authorization server on loopback, set up as an authority is that lets people's programs send mail.
// What it decides is its own; here is only what whoever runs it has to choose, and a clock that can be put forward.
//
// `node server.mjs SETTINGS` (as JSON; see oidc_provider.py) prints "listening on URL". Below /test/ the tests ask
// what happened (/test/events) and let time pass (/test/later?seconds=N).

import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

const settings = JSON.parse(process.argv[2]);
const { default: Provider } = await import(`${settings.modules}/oidc-provider/lib/index.js`);

setTimeout(() => process.exit(3), settings.life * 1000).unref();

const realNow = Date.now;
let ahead = 0;
Date.now = () => realNow() + ahead;

const events = [];
const asked = new Map();

// What Microsoft promises and this server leaves to whoever runs it: a refresh token under every prompt, and for
// devices an interval (RFC 8628 §3.2), with slow_down for those that do not keep to it (§3.5).
async function asPromised(ctx, next) {
  const { routes, interval } = settings;
  if (ctx.path === routes.authorization && ctx.query.prompt === 'select_account') {
    ctx.query = { ...ctx.query, prompt: 'consent' };
  }
  await next();
  const answer = ctx.body ?? {};
  if (ctx.path === routes.device_authorization && answer.device_code) {
    answer.interval = interval;
    asked.set(answer.device_code, Date.now());
  }
  if (ctx.path === routes.token && answer.error === 'authorization_pending') {
    const code = ctx.oidc.params.device_code;
    if (Date.now() - asked.get(code) < interval * 1000) {
      answer.error = 'slow_down';
      events.push({ name: 'slow_down' });
    }
    asked.set(code, Date.now());
  }
}

function providerAt(url) {
  const provider = new Provider(url, {
    clients: settings.clients,
    claims: { email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    cookies: { keys: [randomBytes(32).toString('hex')] },
    expiresWithSession: () => false,
    features: {
      deviceFlow: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
    },
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: id, email_verified: true }),
    }),
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    pkce: { methods: ['S256'], required: () => true },
    rotateRefreshToken: true,
    routes: settings.routes,
    scopes: settings.scopes,
    ttl: { AccessToken: settings.lifetime, DeviceCode: settings.lifetime },
  });
  for (const name of ['grant.success', 'grant.error', 'grant.revoked', 'authorization.error', 'server_error']) {
    provider.on(name, (ctx, error) => {
      const why = error instanceof Error ? error.error_detail ?? error.error ?? error.message : '';
      events.push({ name, grant: ctx.oidc?.params?.grant_type ?? '', why });
    });
  }
  provider.use(asPromised);
  return provider;
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const answer = providerAt(url).callback();
  server.on('request', (request, response) => {
    const { pathname, searchParams } = new URL(request.url, url);
    if (!pathname.startsWith('/test/')) {
      answer(request, response);
      return;
    }
    ahead += Number(searchParams.get('seconds')) * 1000;
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(events));
  });
  console.log(`listening on ${url}`);
});
