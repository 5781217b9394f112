/**
 * How long the console takes to show a page over 1,000 models, 10,000 versions, 1,000 endpoints and a million predictions, and to be there at the
 * first load: `bin/node-24 bench/console.ts [folder]`. The data is made in the folder, or a temporary one, if it is not there; that takes minutes. Needs Chromium.
 * Aims: every page under a second, usable within a second of the first load.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { buildConsole } from '../scripts/build-console.ts';
import { BROWSER, login, NO_BROWSER, openBrowser, visit } from '../test/console/browser.ts';
import { eventually, type RunningServer, startServer } from '../test/scenarios/running-server.ts';
import { MODELS, makeData, PREDICTIONS, VERSIONS_EACH } from './console-data.ts';
import { describeMachine } from './machine.ts';
import { spreadOf } from './statistics.ts';

const ROUNDS = 7;

/** Addresses, and what stands on each once its rows are there. */
async function pagesOf({ client }: RunningServer): Promise<Record<string, readonly [path: string, shows: string]>> {
  const { items } = await client.predictions.list('credit-risk', { limit: 1 }).page();
  const one = items[0]!;
  const after = (await client.models.list({ limit: 200 }).page()).nextCursor!;
  return {
    overview: ['', 'model-0000'],
    models: ['models', 'model-0000'],
    'models, a later page': [`models?after=${encodeURIComponent(after)}`, 'model-0250'],
    model: ['models/model-0500', 'model-0500@10'],
    version: ['models/model-0500/versions/7', 'Validation'],
    compare: ['models/model-0500/compare?from=6&to=7', 'The signatures are the same'],
    endpoints: ['endpoints', 'model-0000'],
    endpoint: ['endpoints/credit-risk', 'Predict'],
    predictions: ['endpoints/credit-risk/predictions', 'answered'],
    'predictions, filtered': [
      `endpoints/credit-risk/predictions?where=${encodeURIComponent('input.age > 35 and version = 1')}`,
      'answered',
    ],
    prediction: [`predictions/${one.id}.${one.row}`, 'What became of it'],
    profiles: ['endpoints/credit-risk/profiles', 'credit_amount'],
    history: ['history', 'credit-risk'],
    'audit log': ['history/audit', 'policy.set'],
    health: ['health', 'SLIPWAY_HOST'],
  };
}

/** From the click until it is drawn. The clock is the page's own, and looks at each frame. */
function timeTo(page: Page, path: string, shows: string): Promise<number> {
  return page.evaluate<number>(`new Promise((resolve, reject) => {
    const startedMs = performance.now();
    history.pushState({}, '', ${JSON.stringify(`/console/${path}`)});
    const look = () => {
      const here = document.querySelector('main');
      // The page that was left is gone in the next frame.
      if (performance.now() - startedMs > 30000) reject(new Error(${JSON.stringify(`${path} does not show ${shows}`)} + here.innerText.slice(0, 500)));
      else if (frames++ > 0 && here.innerText.includes(${JSON.stringify(shows)})) resolve(performance.now() - startedMs);
      else requestAnimationFrame(look);
    };
    let frames = 0;
    requestAnimationFrame(look);
  })`);
}

/** Of a browser that has nothing yet: until the frame and the rows of the overview are drawn and the page answers a key. */
async function firstLoad(
  browser: Browser,
  server: RunningServer,
): Promise<{ frameMs: number; rowsMs: number; bytes: number }> {
  const made = await visit(browser, server.url);
  await login(made, server.adminKey);
  const cookies = await made.context.storageState();
  await made.context.close();
  const context = await browser.newContext({ baseURL: server.url, storageState: cookies });
  const page = await context.newPage();
  let bytes = 0;
  page.on('response', async (answer) => {
    if (answer.url().endsWith('.js')) bytes += Number(answer.headers()['content-length'] ?? 0);
  });
  await page.goto('/console/', { waitUntil: 'commit' });
  await page.getByRole('navigation', { name: 'Main' }).waitFor();
  const frameMs = await page.evaluate<number>('performance.now()');
  await page.locator('main').getByText('model-0000').first().waitFor();
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: 'Where to' }).waitFor();
  const rowsMs = await page.evaluate<number>('performance.now()');
  await context.close();
  return { frameMs, rowsMs, bytes };
}

if (BROWSER === null) throw new Error(NO_BROWSER);
buildConsole();
const machine = describeMachine();
const given = process.argv[2];
const folder = given ?? mkdtempSync(join(tmpdir(), 'slipway-bench-console-'));
await makeData(folder);
const server = await startServer({ dataDir: folder });
const browser = await openBrowser();
try {
  await eventually('control answers', async () => (await server.client.status()).gateways.length > 0);
  const pages = await pagesOf(server);
  const loads: Awaited<ReturnType<typeof firstLoad>>[] = [];
  for (let round = 0; round < ROUNDS; round++) loads.push(await firstLoad(browser, server));
  const seen = await visit(browser, server.url);
  await login(seen, server.adminKey, 'health');
  const times = new Map<string, number[]>(Object.keys(pages).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, [path, shows]] of Object.entries(pages)) {
      await timeTo(seen.page, 'access', 'You are');
      times.get(name)!.push(await timeTo(seen.page, path, shows));
    }
  console.log(
    `${machine.processor}, ${machine.cores} cores; load average before: ${machine.loadBefore}. ` +
      `${MODELS} models, ${MODELS * VERSIONS_EACH} versions, ${MODELS} endpoints, ${PREDICTIONS} predictions; ${ROUNDS} rounds, median (min–max), ms.`,
  );
  const line = (name: string, values: readonly number[]): string => {
    const { median, min, max } = spreadOf(values);
    return `| ${name} | ${median.toFixed(0)} | ${min.toFixed(0)}–${max.toFixed(0)} |`;
  };
  console.log('\n| | median | spread |\n|---|---|---|');
  console.log(
    line(
      'first load: frame',
      loads.map((one) => one.frameMs),
    ),
  );
  console.log(
    line(
      'first load: rows, and a key is answered',
      loads.map((one) => one.rowsMs),
    ),
  );
  for (const [name, values] of times) console.log(line(name, values));
  console.log(`\nScript of the first load: ${(loads[0]!.bytes / 1000).toFixed(0)} kB, compressed.`);
} finally {
  await browser.close();
  if (given === undefined) await server.dispose();
  else await server.stop();
  if (given === undefined) rmSync(folder, { recursive: true, force: true });
}
