/**
 * What a page keeps that is open all day: `bin/node-24 bench/console-memory.ts [minutes]`. The server says that something changed when it did,
 * about every five seconds; a proxy in between says it twenty times a second, and the page asks anew each time, walking from screen to screen and
 * listening again as every five minutes. So a minute stands for an hour and a half and more. Needs Chromium.
 * Aim: the heap after a collection does not grow: its slope over the second half is within the noise of the samples.
 */
import { Transform } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { buildConsole } from '../scripts/build-console.ts';
import { BROWSER, login, NO_BROWSER, openBrowser, visit } from '../test/console/browser.ts';
import { openProxy } from '../test/console/proxy.ts';
import { screensOf } from '../test/console/screens.ts';
import { keepCalling, openShop } from '../test/console/shop.ts';
import { goTo } from '../test/console/world.ts';

const EVENTS_PER_S = 20;
/** Streams end so often and are opened again, as those of the server do every five minutes. */
const STREAM_MS = 10_000;
const SAMPLE_MS = 5_000;
const KINDS = ['registry', 'validation', 'rollouts', 'observed', 'traffic'];

let told = 0;
/** What the server says, and what it would say in the hours that are left out. */
function manyChanges(): Transform {
  const through = new Transform({
    transform(chunk, _encoding, done) {
      done(null, chunk);
    },
  });
  let part = '';
  const saying = setInterval(() => {
    if (through.writableEnded || through.destroyed) return clearInterval(saying);
    told += 1;
    part = `event: changed\ndata: ${JSON.stringify({ changed: [KINDS[told % KINDS.length]] })}\n\n`;
    through.push(part);
  }, 1000 / EVENTS_PER_S);
  setTimeout(() => {
    clearInterval(saying);
    through.push(null);
  }, STREAM_MS);
  return through;
}

if (BROWSER === null) throw new Error(NO_BROWSER);
buildConsole();
const minutes = Number(process.argv[2] ?? 5);
const shop = await openShop();
const proxy = await openProxy(shop.url);
const browser = await openBrowser();
const stop = keepCalling(shop, 'credit-risk', 100);
try {
  proxy.set({ paths: /\/api\/v1\/events/, change: manyChanges });
  const made = await visit(browser, proxy.url);
  await login(made, shop.adminKey);
  const { page, context } = made;
  const devtools = await context.newCDPSession(page);
  await devtools.send('Performance.enable');
  const samples: { s: number; heap: number; nodes: number; listeners: number; told: number }[] = [];
  const screens = screensOf(shop.predictionId);
  const startedMs = performance.now();
  for (let at = 0; performance.now() - startedMs < minutes * 60_000; at++) {
    // The same screen at every sample: what it shows is no leak.
    await goTo(page, screens[at % screens.length]!.path);
    await pause(SAMPLE_MS - 1_500);
    await goTo(page, '');
    await pause(1_500);
    await devtools.send('HeapProfiler.collectGarbage');
    const { metrics } = await devtools.send('Performance.getMetrics');
    const of = (name: string): number => metrics.find((one) => one.name === name)!.value;
    const s = (performance.now() - startedMs) / 1000;
    samples.push({ s, heap: of('JSHeapUsedSize') / 1e6, nodes: of('Nodes'), listeners: of('JSEventListeners'), told });
    console.error(
      `${s.toFixed(0)} s: ${samples.at(-1)!.heap.toFixed(2)} MB, ${of('Nodes')} nodes, ${of('JSEventListeners')} listeners, ${told} events`,
    );
  }
  const half = samples.slice(samples.length >> 1);
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const slopeOf = (of: (one: (typeof samples)[number]) => number): number => {
    const [x, y] = [mean(half.map((one) => one.told)), mean(half.map(of))];
    const over = half.reduce((sum, one) => sum + (one.told - x) * (of(one) - y), 0);
    return over / half.reduce((sum, one) => sum + (one.told - x) ** 2, 0);
  };
  // A calm server tells of its traffic every five seconds.
  const hours = (told * 5) / 3600;
  const heap = half.map((one) => one.heap);
  console.log(
    `${told} events in ${minutes} min, as in ${hours.toFixed(1)} h: heap ${samples[0]!.heap.toFixed(1)} MB at first, ` +
      `${Math.min(...heap).toFixed(1)}–${Math.max(...heap).toFixed(1)} MB in the second half, slope ${(slopeOf((one) => one.heap) * 720).toFixed(3)} MB, ` +
      `${(slopeOf((one) => one.nodes) * 720).toFixed(1)} nodes and ${(slopeOf((one) => one.listeners) * 720).toFixed(1)} listeners an hour.`,
  );
  if (made.faults.length > 0) console.log(made.faults);
} finally {
  await stop();
  proxy.close();
  await browser.close();
  await shop.dispose();
}
