// A person in a browser, over plain HTTP: opens a page, fills in every form that comes (code, name and password, consent)
// and follows the redirects until the provider leads elsewhere or has no more to ask. Prints where it ended, as JSON.
//   node person.mjs URL NAME [deny]
const [start, name, deny] = process.argv.slice(2);
const origin = new URL(start).origin;
const jar = new Map();

async function go(url, init = {}) {
  const headers = { ...init.headers, connection: 'close', cookie: [...jar].map(([key, value]) => `${key}=${value}`).join('; ') };
  const response = await fetch(url, { ...init, headers, redirect: 'manual' });
  for (const cookie of response.headers.getSetCookie()) {
    const [pair] = cookie.split(';');
    const at = pair.indexOf('=');
    jar.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return response;
}

const unescape = (text) => text.replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&#39;', "'");

function form(page, at) {
  const found = /<form[^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/.exec(page);
  if (!found) return undefined;
  const fields = new URLSearchParams();
  for (const [input] of found[2].matchAll(/<input[^>]*>/g)) {
    const key = /name="([^"]*)"/.exec(input)?.[1];
    const value = /value="([^"]*)"/.exec(input)?.[1] ?? '';
    if (key) fields.set(key, unescape(value));
  }
  // Inputs may stand outside the form and belong to it.
  for (const [input] of page.matchAll(/<input[^>]*form="[^"]*"[^>]*>/g)) {
    const key = /name="([^"]*)"/.exec(input)?.[1];
    if (key) fields.set(key, unescape(/value="([^"]*)"/.exec(input)?.[1] ?? ''));
  }
  if (fields.has('login')) { fields.set('login', name); fields.set('password', 'any'); }
  return { action: new URL(unescape(found[1]), at), fields };
}

let url = new URL(start);
let response = await go(url);
for (let step = 0; step < 30; step += 1) {
  if (response.status >= 300 && response.status < 400) {
    url = new URL(response.headers.get('location'), url);
    if (url.origin !== origin) break;
    response = await go(url);
    continue;
  }
  const page = await response.text();
  const next = form(page, url);
  if (response.status !== 200 || !next) {
    console.log(JSON.stringify({ status: response.status, url: String(url), page }));
    process.exit(response.status === 200 ? 0 : 1);
  }
  if (deny && next.fields.get('prompt') === 'consent') {
    const abort = /href="([^"]*\/abort)"/.exec(page);
    url = new URL(unescape(abort[1]), url);
    response = await go(url);
    // What the provider says now is the end of it.
    while (response.status >= 300 && response.status < 400) {
      url = new URL(response.headers.get('location'), url);
      response = await go(url);
    }
    break;
  }
  url = next.action;
  response = await go(url, {
    method: 'POST', body: next.fields, headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
}
console.log(JSON.stringify({ status: response.status, url: String(url) }));
