/** What the stories of the console share: one server, one browser, and a page of the administrator that is logged in already. */
import type { Browser, Page } from 'playwright-core';
import { expect } from 'vitest';
import { login, openBrowser, type Visit, type VisitOptions, visit } from './browser.ts';
import { openShop, type Shop } from './shop.ts';

export type World = {
  readonly shop: Shop;
  readonly browser: Browser;
  /** All pages that were opened, with what should not have happened on them. */
  readonly visits: readonly Visit[];
  /** The administrator's page, brought to an address without loading it anew, as a link does. */
  at(path: string): Promise<Page>;
  /** A page and session of its own. */
  open(key: string, path?: string, options?: VisitOptions): Promise<Page>;
  /** A page of its own that shows what a person without a session sees. */
  visit(options?: VisitOptions, url?: string): Promise<Visit>;
  close(): Promise<void>;
};

/** @param env further settings of its server */
export async function openWorld(env: Record<string, string> = {}): Promise<World> {
  const [shop, browser] = await Promise.all([openShop(env), openBrowser()]);
  const visits: Visit[] = [];
  let own: Page | null = null;
  const world: World = {
    shop,
    browser,
    visits,
    async at(path) {
      own ??= await world.open(shop.adminKey);
      await own.setViewportSize({ width: 1280, height: 900 });
      await goTo(own, path);
      return own;
    },
    async open(key, path = '', options = {}) {
      const made = await world.visit(options);
      await login(made, key, path);
      return made.page;
    },
    async visit(options = {}, url = shop.url) {
      const made = await visit(browser, url, options);
      visits.push(made);
      return made;
    },
    async close() {
      await browser.close();
      await shop.dispose();
    },
  };
  return world;
}

/** As a link does: another address, the same page. */
export async function goTo(page: Page, path: string): Promise<void> {
  await page.evaluate(`history.pushState({}, '', ${JSON.stringify(`/console/${path}`)})`);
}

/** Does what a dialog asks for: the name where it wants one, then its button. */
export async function confirm(page: Page, button: string, name?: string): Promise<void> {
  const dialog = page.getByRole('dialog');
  if (name !== undefined) {
    expect(await dialog.getByRole('button', { name: button, exact: true }).isDisabled()).toBe(true);
    await dialog.getByLabel(/to confirm/).fill(name);
  }
  await dialog.getByRole('button', { name: button, exact: true }).click();
  await dialog.waitFor({ state: 'hidden' });
}
