import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { eventually, MODELS, untilReady } from '../../scenarios/running-server.ts';
import { confirm, goTo, type World } from '../world.ts';

export function serving(world: () => World): void {
  test('from a file to a served model, a try, a canary, its abort, a switch and the way back', async () => {
    const { shop } = world();
    const page = await world().at('upload');
    await upload(page, 'add.onnx');
    await goTo(page, '');
    await upload(page, 'add-two.onnx');
    await page.getByRole('link', { name: 'Endpoint sums' }).click();
    await page.getByRole('button', { name: 'Predict' }).click();
    const answer = page.getByRole('region', { name: 'Answer' });
    await answer.getByText('HTTP 200').waitFor();
    expect(await answer.getByRole('link').first().textContent()).toBe('sums@2');

    await page.getByRole('button', { name: 'Switch version' }).click();
    await page.getByRole('dialog').getByLabel('Version').fill('1');
    await confirm(page, 'Switch version', 'sums');
    await untilReady(shop, 'sums', 1);
    await page.getByText('sums is set to version 1.').waitFor();

    await page.getByRole('link', { name: 'Start a rollout' }).click();
    await page.getByLabel('To version').selectOption('2');
    await page.getByRole('button', { name: 'Show the plan' }).click();
    await page.getByRole('heading', { name: 'The plan' }).waitFor();
    expect((await shop.client.rollouts.list({ endpoint: 'sums' }).all()).length).toBe(0);
    await page.getByRole('button', { name: 'Start: move sums to 2' }).click();
    await page.getByRole('list').getByText('errors').first().waitFor({ timeout: 30_000 });
    await page.getByRole('button', { name: 'Abort', exact: true }).first().click();
    await confirm(page, 'Abort', 'sums');
    await eventually('the abort', async () => (await shop.client.rollouts.show('sums')).rollout.isEnded);

    await goTo(page, 'endpoints/sums');
    await page.getByRole('button', { name: 'Switch version' }).click();
    await page.getByRole('dialog').getByLabel('Version').fill('2');
    await confirm(page, 'Switch version', 'sums');
    await page.getByRole('button', { name: 'Back to 1' }).click();
    await page.getByText('Taken back.').waitFor();
    expect((await shop.client.endpoints.show('sums')).targetVersion).toBe(1);
    await untilReady(shop, 'sums', 1);
    await page.getByRole('button', { name: 'Roll back' }).click();
    await page
      .getByRole('dialog')
      .getByLabel(/To version/)
      .fill('2');
    await confirm(page, 'Roll back', 'sums');
    await eventually('the way back', async () => (await shop.client.endpoints.show('sums')).targetVersion === 2);
  });

  test('a shadow shows the pairs in which it decides otherwise, each with its prediction', async () => {
    const page = await world().at('endpoints/adder/rollout');
    const shadow = page.getByRole('region', { name: 'Shadow: candidate' });
    await shadow.getByText(/100 % of \d+ pairs decide otherwise than live.*differs from itself in 0 %/).waitFor();
    const row = shadow
      .getByRole('region', { name: /Pairs that differ/ })
      .locator('tbody tr')
      .first();
    const [live, other] = await row.locator('td').allInnerTexts();
    const id = await row.getByRole('link').getAttribute('title');
    const { shadows } = await world().shop.client.rollouts.show('adder');
    const pair = shadows.find((one) => one.name === 'candidate')!.worst.find((one) => one.predictionId === id);
    // Of answers that are compared as a whole there is no decision to show.
    expect([live, other]).toEqual([pair!.live, pair!.shadow].map((text) => text || 'another answer'));
    await row.getByRole('link').click();
    await page.getByText('What became of it').waitFor();
  });

  test('two versions side by side: what differs, what callers would meet, and the same from the address', async () => {
    const page = await world().at('models/credit-risk/compare?from=1&to=2');
    const facts = page.getByRole('region', { name: 'Facts side by side' });
    await facts.getByRole('columnheader', { name: 'To: 2' }).waitFor();
    const { client } = world().shop;
    const [one, two] = await Promise.all([1, 2].map((version) => client.versions.show('credit-risk', version)));
    const digests = await facts.getByRole('row', { name: /^Digest/ }).innerText();
    expect(digests).toContain(one!.digest.slice(0, 19));
    expect(digests).toContain(two!.digest.slice(0, 19));
    await page.getByText(/facts and \d+ of \d+ files differ/).waitFor();
    await page.getByRole('button', { name: 'Other way round' }).click();
    await facts.getByRole('columnheader', { name: 'To: 1' }).waitFor();
    expect(new URL(page.url()).search).toBe('?from=2&to=1');
  });
}

async function upload(page: Page, file: string): Promise<void> {
  await goTo(page, 'upload');
  await page.getByLabel(/Model file/).setInputFiles(join(MODELS, file));
  await page.getByLabel(/Name of the model/).fill('sums');
  await page.getByRole('button', { name: 'Upload and deploy' }).click();
  await page.getByText(/sums serves version \d/).waitFor({ timeout: 60_000 });
}
