import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { ROOT } from '../../scenarios/running-server.ts';
import { screensOf } from '../screens.ts';
import { goTo, type World } from '../world.ts';

const AXE = readFileSync(join(ROOT, 'node_modules/axe-core/axe.min.js'), 'utf8');
type Violation = { id: string; impact: string; nodes: { html: string }[] };

/** Serious and critical findings, each with the element. @param options what is looked for; all unless told */
async function graveFindings(page: Page, options: object = {}): Promise<string[]> {
  const asked = JSON.stringify({ resultTypes: ['violations'], ...options });
  const { violations } = await page.evaluate<{ violations: Violation[] }>(`axe.run(${asked})`);
  return violations
    .filter((one) => one.impact === 'serious' || one.impact === 'critical')
    .map((one) => `${one.id} ${one.nodes.map((node) => node.html.slice(0, 120)).join(' | ')}`);
}

export function everyScreen(world: () => World): void {
  test('every screen is accessible in both themes, and nothing has to be read sideways at 320 px', async () => {
    const page = await world().at('');
    await page.evaluate(AXE);
    const found: string[] = [];
    for (const { name, path, shows } of screensOf(world().shop.predictionId)) {
      await goTo(page, path);
      await page.getByText(shows).first().waitFor();
      expect(await page.getByRole('heading', { level: 1 }).count(), name).toBe(1);
      found.push(...(await graveFindings(page)).map((text) => `${name}: ${text}`));
      // The elements are the same in the dark; what changes is colours.
      await page.emulateMedia({ colorScheme: 'dark' });
      const colours = { runOnly: { type: 'tag', values: ['cat.color'] } };
      found.push(...(await graveFindings(page, colours)).map((text) => `${name}, dark: ${text}`));
      await page.emulateMedia({ colorScheme: 'light' });
      await page.setViewportSize({ width: 320, height: 640 });
      expect(await page.evaluate<number>('document.documentElement.scrollWidth'), name).toBeLessThanOrEqual(320);
      await page.setViewportSize({ width: 1280, height: 900 });
    }
    expect(found).toEqual([]);
  });
}
