/** Every screen in both themes under axe-core; part of `npm run test:console`, because it takes a minute. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildConsole } from '../../scripts/build-console.ts';
import { ROOT } from '../scenarios/running-server.ts';
import { BROWSER, login, NO_BROWSER, openBrowser, visit } from './browser.ts';
import { screensOf } from './screens.ts';
import { openShop, type Shop } from './shop.ts';

const AXE = readFileSync(join(ROOT, 'node_modules/axe-core/axe.min.js'), 'utf8');
if (BROWSER === null) console.warn(`The console is not tried: ${NO_BROWSER}`);

let shop: Shop;
let browser: Browser;

type Violation = { id: string; impact: string; nodes: { html: string }[] };

describe.skipIf(BROWSER === null)('every screen', () => {
  beforeAll(async () => {
    buildConsole();
    [shop, browser] = await Promise.all([openShop(), openBrowser()]);
    await shop.client.rollouts.start('credit-risk', { to: '2', strategy: 'canary' });
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await shop?.dispose();
  });

  test.each(['light', 'dark'] as const)(
    'is accessible, %s',
    async (theme) => {
      const made = await visit(browser, shop.url, { theme });
      await login(made, shop.adminKey);
      const { page } = made;
      const found: string[] = [];
      for (const { name, path, shows } of screensOf(shop.predictionId)) {
        await page.goto(`/console/${path}`);
        await page.getByText(shows).first().waitFor();
        expect(await page.getByRole('heading', { level: 1 }).count(), name).toBe(1);
        await page.evaluate(AXE);
        const { violations } = await page.evaluate<{ violations: Violation[] }>('axe.run()');
        const grave = violations.filter((one) => one.impact === 'serious' || one.impact === 'critical');
        found.push(
          ...grave.map((one) => `${name}: ${one.id} ${one.nodes.map((node) => node.html.slice(0, 120)).join(' | ')}`),
        );
      }
      expect(found).toEqual([]);
      expect([...made.faults, ...made.outside]).toEqual([]);
      await made.context.close();
    },
    180_000,
  );
});
