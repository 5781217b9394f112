/** Debian's Chromium, driven as a person would; no test says what a page should be before it was really drawn. */
import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

const PATHS = [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Where a browser is; null where there is none. */
export const BROWSER = PATHS.find((path) => path !== undefined && existsSync(path)) ?? null;
export const NO_BROWSER = 'Chromium is not installed (apt-get install chromium, or name it in CHROMIUM)';

export async function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: BROWSER!,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--force-color-profile=srgb'],
  });
}

export type Visit = {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Addresses outside the server that the page asked for. */
  readonly outside: string[];
  /** Dialogs, errors of scripts and breaches of the policy. */
  readonly faults: string[];
};

export type VisitOptions = {
  readonly theme?: 'light' | 'dark';
  readonly width?: number;
  readonly height?: number;
  readonly reducedMotion?: 'reduce';
};

/** A page of its own, which notes all that should not happen. */
export async function visit(browser: Browser, url: string, options: VisitOptions = {}): Promise<Visit> {
  const context = await browser.newContext({
    baseURL: url,
    colorScheme: options.theme ?? 'light',
    viewport: { width: options.width ?? 1280, height: options.height ?? 900 },
    reducedMotion: options.reducedMotion ?? 'no-preference',
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
  });
  const page = await context.newPage();
  const outside: string[] = [];
  const faults: string[] = [];
  const { origin } = new URL(url);
  context.on('request', (request) => {
    if (!request.url().startsWith(origin) && !request.url().startsWith('data:')) outside.push(request.url());
  });
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' && /Content Security|Trusted|Uncaught/i.test(text)) faults.push(text);
  });
  return { page, context, outside, faults };
}

/** Opens the page and logs in with the key, as a person does. */
export async function login({ page }: Visit, key: string, path = ''): Promise<void> {
  await page.goto(`/console/${path}`);
  await page.getByLabel('API key').fill(key);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('navigation', { name: 'Main' }).waitFor();
}
