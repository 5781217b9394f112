/** `npm run screenshots`: every screen, wide and 360 px, light and dark, into docs/console/. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { buildConsole } from '../../scripts/build-console.ts';
import { ROOT } from '../scenarios/running-server.ts';
import { BROWSER, login, NO_BROWSER, openBrowser, visit } from './browser.ts';
import { screensOf } from './screens.ts';
import { keepCalling, openShop } from './shop.ts';

const FOLDER = join(ROOT, 'docs/console');
/** So long is called before the pictures: charts need some steps. */
const TRAFFIC_MS = Number(process.argv[2] ?? 90_000);
/** Lists of a hundred rows: their first screenful says it all. */
const LONG = ['health', 'audit', 'predictions'];
const SHAPES = [
  { name: 'wide', width: 1280, height: 860 },
  { name: 'narrow', width: 360, height: 740 },
] as const;

if (BROWSER === null) throw new Error(NO_BROWSER);
buildConsole();
const shop = await openShop();
const browser = await openBrowser();
try {
  const stop = keepCalling(shop, 'credit-risk', 40);
  await new Promise((resolve) => setTimeout(resolve, TRAFFIC_MS));
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  for (const theme of ['light', 'dark'] as const) {
    for (const { name: shape, width, height } of SHAPES) {
      const seen = await visit(browser, shop.url, { theme, width, height, reducedMotion: 'reduce' });
      await login(seen, shop.adminKey);
      for (const { name, path, shows } of screensOf(shop.predictionId)) {
        await seen.page.goto(`/console/${path}`);
        await seen.page.getByText(shows).first().waitFor();
        await seen.page.waitForTimeout(700);
        await seen.page.screenshot({
          path: join(FOLDER, `${name}-${shape}-${theme}.png`),
          fullPage: shape === 'wide' && !LONG.includes(name),
        });
      }
      if (seen.faults.length + seen.outside.length > 0) console.error([...seen.faults, ...seen.outside]);
      await seen.context.close();
    }
  }
  await stop();
} finally {
  await browser.close();
  await shop.dispose();
}
