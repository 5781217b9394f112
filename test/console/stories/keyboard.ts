import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { eventually } from '../../scenarios/running-server.ts';
import type { World } from '../world.ts';

const NAME_OF_FOCUS = `((at) => at?.getAttribute('aria-label') ?? at?.closest('label')?.innerText ?? at?.innerText ?? '')(document.activeElement)`;
/** Outline, and whether something that stays in sight, such as the bar, lies over it. */
const SIGHT_OF_FOCUS = `(() => {
  const at = document.activeElement;
  const box = at.getBoundingClientRect();
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return { outline: getComputedStyle(at).outlineStyle, seen: top !== null && (at.contains(top) || top.contains(at)) };
})()`;

/** Tab until there, as somebody without a pointer does. */
async function reach(page: Page, name: RegExp): Promise<void> {
  for (let pressed = 0; pressed < 80; pressed++) {
    if (name.test(await page.evaluate<string>(NAME_OF_FOCUS))) {
      const sight = await page.evaluate<{ outline: string; seen: boolean }>(SIGHT_OF_FOCUS);
      expect(sight.outline, `focus on ${name} is visible`).not.toBe('none');
      expect(sight.seen, `${name} is not hidden`).toBe(true);
      return;
    }
    await page.keyboard.press('Tab');
  }
  throw new Error(`Tab does not lead to ${name}`);
}

async function fromPalette(page: Page, typed: string, option: RegExp): Promise<void> {
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: 'Where to' }).waitFor();
  await page.keyboard.type(typed);
  await page.getByRole('option', { name: option }).first().waitFor();
  await page.keyboard.press('Enter');
}

export function byKeyboard(world: () => World): void {
  test('one prediction is found by its id from the palette, and gets its feedback, by keyboard alone', async () => {
    const page = await world().at('');
    await fromPalette(page, `${world().shop.predictionId}.0`, /prediction/);
    await page.getByText('What became of it').waitFor();
    await reach(page, /^Send feedback$/);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await reach(page, /^Send feedback$/);
    await page.keyboard.press('Enter');
    await reach(page, /^Value/);
    await page.keyboard.type('bad');
    await page.keyboard.press('Enter');
    await page.getByText('It is noted.').waitFor();
    await page.getByRole('region', { name: 'Feedback' }).getByText('bad').first().waitFor();
  });

  test('by keyboard alone a try is made, and a canary aborted, which is never out of reach', async () => {
    const { shop } = world();
    const page = await world().at('');
    await page.reload();
    await page.getByRole('navigation', { name: 'Main' }).waitFor();
    await page.keyboard.press('Tab');
    expect(await page.evaluate<string>(NAME_OF_FOCUS)).toBe('To the content');
    await page.keyboard.press('Enter');
    expect(await page.evaluate<string>('document.activeElement.id')).toBe('main');

    await fromPalette(page, 'credit-risk endpoint', /endpoint/);
    await page.getByRole('button', { name: 'Predict' }).waitFor();
    await reach(page, /^Predict$/);
    await page.keyboard.press('Enter');
    await page.getByRole('region', { name: 'Answer' }).getByText('HTTP 200').waitFor();

    await fromPalette(page, 'credit-risk rollout', /rollout/);
    await page.getByRole('heading', { name: 'Steps' }).waitFor();
    await page.keyboard.press('End');
    const abort = page.getByRole('button', { name: 'Abort', exact: true });
    const { y } = (await abort.boundingBox())!;
    expect(y).toBeGreaterThanOrEqual(0);
    expect(y).toBeLessThan(900);
    await reach(page, /^Abort$/);
    await page.keyboard.press('Enter');
    await page
      .getByRole('dialog')
      .getByText(/back to version 1/)
      .waitFor();
    await reach(page, /^Type credit-risk/);
    await page.keyboard.type('credit-risk');
    await page.keyboard.press('Enter');
    await page.getByText('The rollout of credit-risk is aborted').first().waitFor();
    await eventually('the abort', async () => (await shop.client.rollouts.show('credit-risk')).rollout.isEnded);
    await reach(page, /^Start it again$/);
  });
}
