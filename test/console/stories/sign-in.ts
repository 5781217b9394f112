import { expect, test } from 'vitest';
import { login } from '../browser.ts';
import { openProxy } from '../proxy.ts';
import { screensOf } from '../screens.ts';
import { confirm, goTo, type World } from '../world.ts';

/** What somebody may press who may only look. */
const HARMLESS =
  /^(Copy|Copied|Find|First page|Next page|Look again|Check again|As JSON|As a form|The working example|curl|TypeScript|Python|Close|Compare|Other way round|Try again|[…\w:.-]+( copied)?|)$/;
/** What the words above may not hide. */
const ACTIONS =
  /deploy|upload|delete|unload|load it|switch|roll back|abort|pause|resume|promote|approve|start|set an alias|send feedback|predict|make|rotate|revoke|show the plan/i;

export function signIn(world: () => World): void {
  test('asks for a key, refuses a wrong one in words, and keeps the right one nowhere', async () => {
    const { shop } = world();
    const made = await world().visit();
    const { page, context } = made;
    await page.goto('/');
    expect(new URL(page.url()).pathname).toBe('/console/');
    await page.getByLabel('API key').fill('slipway_live_wrong');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('key_invalid').waitFor();
    await login(made, shop.adminKey);
    const kept = await page.evaluate<string>(
      'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])',
    );
    expect(kept).not.toContain('slipway_live_');
    expect(kept).not.toContain('slipway_session');
    const [cookie] = await context.cookies(`${shop.url}/api/v1/me`);
    expect(cookie).toMatchObject({ name: 'slipway_session', httpOnly: true, sameSite: 'Strict', path: '/api/v1' });
    await page.getByText('admin', { exact: true }).click();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('API key').waitFor();
    expect(await context.cookies(`${shop.url}/api/v1/me`)).toEqual([]);
  });

  test('a key is made, shown once, opens what it may and no more, and is revoked', async () => {
    const { shop } = world();
    const page = await world().at('access');
    await page.getByRole('button', { name: 'Make a key' }).click();
    await page.getByRole('dialog').getByLabel('Name').fill('viewer');
    await confirm(page, 'Make a key');
    const shown = await page.locator('.secret pre').first().textContent();
    await page.reload();
    await page.getByText('viewer').first().waitFor();
    expect(await page.content()).not.toContain(shown);

    const guest = await world().open(shown!, 'endpoints/credit-risk');
    const button = guest.getByRole('button', { name: 'Roll back' });
    await button.waitFor();
    expect(await button.getAttribute('aria-disabled')).toBe('true');
    expect(await button.getAttribute('title')).toContain('has no scope deploy');
    const able: string[] = [];
    for (const { name, path, shows } of screensOf(shop.predictionId)) {
      await goTo(guest, path);
      if (name === 'access' || name === 'audit') await guest.getByText(/for administrators/).waitFor();
      else if (name !== 'health') await guest.getByText(shows).first().waitFor();
      const buttons = guest.locator('main button:not([aria-disabled="true"]):not(:disabled)');
      for (const text of await buttons.allInnerTexts())
        if (!HARMLESS.test(text.trim()) || ACTIONS.test(text)) able.push(`${name}: ${text}`);
      for (const off of await guest.locator('main button[aria-disabled="true"]').all())
        expect(await off.getAttribute('title'), name).toMatch(/^Your key viewer has no scope /);
    }
    expect(able).toEqual([]);

    await page
      .getByRole('row', { name: /viewer/ })
      .getByRole('button', { name: 'Revoke' })
      .click();
    await confirm(page, 'Revoke', 'viewer');
    await guest.goto('/console/models');
    await guest.getByLabel('API key').waitFor();
  });

  test('a key that may not read is told so, and the page asks for no stream again and again', async () => {
    const { key } = await world().shop.client.keys.create({ name: 'caller', scopes: ['predict'] });
    const page = await world().open(key, 'models');
    await page.getByText('Not live: your key may not read').waitFor();
    await page.getByRole('alert').getByText('not_permitted').waitFor();
    let asked = 0;
    page.on('request', (request) => {
      if (request.url().includes('/events')) asked += 1;
    });
    await page.waitForTimeout(2_500);
    expect(asked).toBe(0);
    await page.context().close();
  });

  test('works behind a prefix that a proxy takes off', async () => {
    const proxy = await openProxy(world().shop.url, '/tools/slipway');
    try {
      const { page } = await world().visit({}, proxy.url);
      await page.goto('/tools/slipway/console/models/credit-risk');
      await page.getByLabel('API key').fill(world().shop.adminKey);
      await page.keyboard.press('Enter');
      await page.getByText('champion').first().waitFor();
      await page.getByRole('link', { name: 'Health' }).click();
      await page.getByText('SLIPWAY_HOST').first().waitFor();
      expect(new URL(page.url()).pathname).toBe('/tools/slipway/console/health');
      await page.reload();
      await page.getByText('SLIPWAY_HOST').first().waitFor();
    } finally {
      proxy.close();
    }
  });
}
