/** The console as people use it, in a real browser against the whole product. */
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildConsole } from '../../scripts/build-console.ts';
import { eventually, MODELS, ROOT, untilReady } from '../scenarios/running-server.ts';
import { BROWSER, login, NO_BROWSER, openBrowser, type Visit, visit } from './browser.ts';
import { screensOf } from './screens.ts';
import { openShop, type Shop } from './shop.ts';

if (BROWSER === null) console.warn(`The console is not tried: ${NO_BROWSER}`);

const NAME_OF_FOCUS = `((at) => at?.getAttribute('aria-label') ?? at?.closest('label')?.innerText ?? at?.innerText ?? '')(document.activeElement)`;

/** Ways to run a script or to call out, each within quotes, tags and Markdown that it may break out of. */
function hostileStrings(): string[] {
  const hits = [
    '<script>wasHit=true</script>',
    '<img src=x onerror="wasHit=true">',
    '<svg onload=wasHit=true>',
    '<iframe srcdoc="<script>parent.wasHit=true</script>">',
    '<a href="javascript:wasHit=true">x</a>',
    '<img src=http://evil.test/a.png>',
    '<link rel=stylesheet href=http://evil.test/a.css>',
    '<style>@import "http://evil.test/b.css"</style>',
    '<body onload=wasHit=true>',
    '<details open ontoggle=wasHit=true>',
    '<input autofocus onfocus=wasHit=true>',
    '<math><mi xlink:href="javascript:wasHit=true">x',
    '<object data="javascript:wasHit=true">',
    '<base href=http://evil.test/>',
    '<meta http-equiv=refresh content="0;url=http://evil.test/">',
    '<form action=http://evil.test><button>x',
    '{{constructor.constructor("wasHit=true")()}}',
    '$' + '{wasHit=true}',
    'javascript:wasHit=true',
    '\u202Etxt.exe\u001b[31m',
  ];
  const around = [
    '%',
    '"%',
    "'%",
    '</code>%',
    '</script>%',
    '`%`',
    '[%](%)',
    '![%](%)',
    '<!--%-->',
    '"><%',
    '--%',
    '</textarea>%',
    '&lt;%',
    '\n\n%\n',
    '<div title="%">',
  ];
  return around.flatMap((form) => hits.map((hit) => form.replaceAll('%', hit)));
}

let shop: Shop;
let browser: Browser;
const visits: Visit[] = [];

async function open(key = shop.adminKey, path = '', options: Parameters<typeof visit>[2] = {}): Promise<Page> {
  const made = await visit(browser, shop.url, options);
  visits.push(made);
  await login(made, key, path);
  return made.page;
}

/** Does what a dialog asks for: the name where it wants one, then its button. */
async function confirm(page: Page, button: string, name?: string): Promise<void> {
  const dialog = page.getByRole('dialog');
  if (name !== undefined) {
    expect(await dialog.getByRole('button', { name: button, exact: true }).isDisabled()).toBe(true);
    await dialog.getByLabel(/to confirm/).fill(name);
  }
  await dialog.getByRole('button', { name: button, exact: true }).click();
  await dialog.waitFor({ state: 'hidden' });
}

describe.skipIf(BROWSER === null)('the console', () => {
  beforeAll(async () => {
    buildConsole();
    [shop, browser] = await Promise.all([openShop(), openBrowser()]);
    await shop.client.rollouts.start('credit-risk', { to: '2', strategy: 'canary' });
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await shop?.dispose();
  });

  test('asks for a key, refuses a wrong one in words, and keeps the right one nowhere', async () => {
    const made = await visit(browser, shop.url);
    visits.push(made);
    await made.page.goto('/');
    expect(new URL(made.page.url()).pathname).toBe('/console/');
    await made.page.getByLabel('API key').fill('slipway_live_wrong');
    await made.page.keyboard.press('Enter');
    await made.page.getByRole('alert').getByText('key_invalid').waitFor();
    await login(made, shop.adminKey);
    const kept = await made.page.evaluate<string>(
      'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])',
    );
    expect(kept).not.toContain('slipway_live_');
    expect(kept).not.toContain('slipway_session');
    const [cookie] = await made.context.cookies(`${shop.url}/api/v1/me`);
    expect(cookie).toMatchObject({ name: 'slipway_session', httpOnly: true, sameSite: 'Strict', path: '/api/v1' });
    await made.page.getByText('admin', { exact: true }).click();
    await made.page.getByRole('button', { name: 'Log out' }).click();
    await made.page.getByLabel('API key').waitFor();
    expect(await made.context.cookies(`${shop.url}/api/v1/me`)).toEqual([]);
  });

  test('nothing has to be read sideways at 320 px', async () => {
    const page = await open(shop.adminKey, '', { width: 320, height: 640 });
    for (const { name, path, shows } of screensOf(shop.predictionId)) {
      await page.goto(`/console/${path}`);
      await page.getByText(shows).first().waitFor();
      const wide = await page.evaluate<number>('document.documentElement.scrollWidth');
      expect(wide, name).toBeLessThanOrEqual(320);
    }
  });

  test('from a file to a served model, a try, a canary, its abort, a switch and the way back', async () => {
    const page = await open(shop.adminKey, 'upload');
    const upload = async (file: string): Promise<void> => {
      await page.goto('/console/upload');
      await page.getByLabel(/Model file/).setInputFiles(join(MODELS, file));
      await page.getByLabel(/Name of the model/).fill('sums');
      await page.getByRole('button', { name: 'Upload and deploy' }).click();
      await page.getByText(/sums serves version \d/).waitFor({ timeout: 60_000 });
    };
    await upload('add.onnx');
    await upload('add-two.onnx');
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

    await page.goto('/console/endpoints/sums');
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

  test('a key is made, shown once, opens what it may and no more, and is revoked', async () => {
    const page = await open(shop.adminKey, 'access');
    await page.getByRole('button', { name: 'Make a key' }).click();
    await page.getByRole('dialog').getByLabel('Name').fill('viewer');
    await confirm(page, 'Make a key');
    const shown = await page.locator('.secret pre').first().textContent();
    await page.reload();
    await page.getByText('viewer').first().waitFor();
    expect(await page.content()).not.toContain(shown);

    const guest = await open(shown!, 'endpoints/credit-risk');
    const button = guest.getByRole('button', { name: 'Roll back' });
    await button.waitFor();
    expect(await button.getAttribute('aria-disabled')).toBe('true');
    expect(await button.getAttribute('title')).toContain('has no scope deploy');
    await guest.goto('/console/access');
    await guest.getByText(/Keys and projects are for administrators/).waitFor();

    await page
      .getByRole('row', { name: /viewer/ })
      .getByRole('button', { name: 'Revoke' })
      .click();
    await confirm(page, 'Revoke', 'viewer');
    await guest.goto('/console/models');
    await guest.getByLabel('API key').waitFor();
  });

  test('one prediction is found by its id from the palette, and gets its feedback, by keyboard alone', async () => {
    const page = await open();
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox', { name: 'Where to' }).waitFor();
    await page.keyboard.type(shop.predictionId);
    await page.getByRole('option', { name: /prediction/ }).waitFor();
    await page.keyboard.press('Enter');
    await page.getByText('What became of it').waitFor();
    const reach = async (name: RegExp): Promise<void> => {
      for (let pressed = 0; pressed < 80; pressed++) {
        const text = await page.evaluate<string>(NAME_OF_FOCUS);
        if (name.test(text)) {
          const outline = await page.evaluate<string>('getComputedStyle(document.activeElement).outlineStyle');
          expect(outline, `focus on ${name} is visible`).not.toBe('none');
          return;
        }
        await page.keyboard.press('Tab');
      }
      throw new Error(`Tab does not lead to ${name}`);
    };
    await reach(/^Send feedback$/);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await reach(/^Send feedback$/);
    await page.keyboard.press('Enter');
    await reach(/^Value/);
    await page.keyboard.type('bad');
    await page.keyboard.press('Enter');
    await page.getByText('It is noted.').waitFor();
    await page.getByRole('region', { name: 'Feedback' }).getByText('bad').first().waitFor();
  });

  test('300 hostile strings in every field stay text', async () => {
    const { client } = shop;
    const strings = hostileStrings();
    expect(strings.length).toBeGreaterThanOrEqual(300);
    const some = (from: number): string =>
      strings
        .slice(from, from + 20)
        .join(' ')
        .slice(0, 900);
    await client.models.update('credit-risk', {
      card: strings
        .map(
          (text) =>
            `# ${text}\n\n${text}\n\n- [${text}](javascript:hit()) ![x](http://evil.test/${encodeURIComponent(text)})`,
        )
        .join('\n\n'),
      description: some(0),
      tags: Object.fromEntries(strings.slice(0, 20).map((text, i) => [`tag${i}`, text.slice(0, 100)])),
    });
    for (let i = 0; i < 15; i++)
      await client.aliases.set('credit-risk', 'hostile', (i % 2) + 1, { reason: some(i * 20) });
    const { sampleRequest } = await client.versions.show('credit-risk', 1);
    const [record] = (sampleRequest as { records: Record<string, unknown>[] }).records;
    const records = strings.map((text) => ({ ...record, purpose: text, housing: text }));
    const { predictions } = await client.predict('credit-risk', { records });
    const id = predictions[0]!.id.replace(/\.\d+$/, '');
    await client.feedback.send(
      strings.map((text, row) => ({ predictionId: `${id}.${row}`, text, source: 'hostile' })),
      { endpoint: 'credit-risk' },
    );
    await eventually('it is logged', async () => (await client.predictions.show(id)).rows.length > 0);
    const page = await open(shop.adminKey, 'models/credit-risk');
    for (const path of [
      'models/credit-risk',
      'models/credit-risk/versions/1',
      'endpoints/credit-risk/predictions',
      `predictions/${id}`,
      'endpoints/credit-risk/profiles',
      'history/audit',
      `models/${encodeURIComponent(strings[0]!)}?after=${encodeURIComponent(strings[1]!)}`,
    ]) {
      await page.goto(`/console/${path}`);
      await page.getByRole('heading', { level: 1 }).waitFor();
      await page.waitForTimeout(400);
      expect(await page.evaluate<boolean>('globalThis.wasHit === true'), path).toBe(false);
    }
  });

  test('works behind a prefix that a proxy takes off', async () => {
    const { port } = new URL(shop.url);
    const proxy: Server = createServer((asked, answer) => {
      const path = (asked.url ?? '').replace(/^\/tools\/slipway/, '');
      const passed = request({ port, path, method: asked.method, headers: { ...asked.headers } }, (said) => {
        answer.writeHead(said.statusCode!, said.headers);
        said.pipe(answer);
      });
      passed.on('error', () => answer.destroy());
      asked.pipe(passed);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    try {
      const made = await visit(browser, `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
      visits.push(made);
      await made.page.goto('/tools/slipway/console/models/credit-risk');
      await made.page.getByLabel('API key').fill(shop.adminKey);
      await made.page.keyboard.press('Enter');
      await made.page.getByText('champion').first().waitFor();
      await made.page.getByRole('link', { name: 'Health' }).click();
      await made.page.getByText('SLIPWAY_HOST').first().waitFor();
      expect(new URL(made.page.url()).pathname).toBe('/tools/slipway/console/health');
      await made.page.reload();
      await made.page.getByText('SLIPWAY_HOST').first().waitFor();
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });

  test('a server that goes away greys what is shown, and what comes back is shown again', async () => {
    const page = await open(shop.adminKey, 'endpoints/credit-risk');
    await page.getByRole('button', { name: 'Live' }).waitFor();
    await page.getByRole('button', { name: 'Predict' }).waitFor();
    const [control] = shop.pids('control');
    process.kill(control!, 'SIGKILL');
    await page.getByText(/Not connected for/).waitFor({ timeout: 30_000 });
    await page.getByRole('button', { name: 'Live' }).waitFor({ timeout: 60_000 });
    // The session outlived the restart.
    expect(await page.getByRole('button', { name: 'Predict' }).isVisible()).toBe(true);
  });

  test('the first load is within its budget', () => {
    const folder = join(ROOT, 'console/dist/assets');
    const script = readdirSync(folder)
      .filter((name) => name.endsWith('.js'))
      .reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name)), { level: 9 }).length, 0);
    expect(script).toBeLessThan(250 * 1024);
    expect(script).toBeGreaterThan(50 * 1024);
  });

  test('all the while no page asked another server, broke its policy or failed', () => {
    expect(visits.length).toBeGreaterThan(6);
    expect(visits.flatMap((one) => one.outside)).toEqual([]);
    expect(visits.flatMap((one) => one.faults)).toEqual([]);
  });
});
