import { expect, test } from 'vitest';
import { takeDatabase } from '../../scenarios/take-database.ts';
import { login } from '../browser.ts';
import { openProxy } from '../proxy.ts';
import { goTo, type World } from '../world.ts';

export function illServer(world: () => World): void {
  test('what is slow or fails is said, with the age of what is shown, and nothing of it stays green', async () => {
    const proxy = await openProxy(world().shop.url);
    try {
      const made = await world().visit({}, proxy.url);
      const { page } = made;
      await login(made, world().shop.adminKey, 'endpoints/credit-risk');
      await page.getByRole('button', { name: 'Live' }).waitFor();
      await page.getByRole('button', { name: 'Predict' }).waitFor();

      proxy.set({ paths: /\/endpoints\/adder(\?|$)/, delayMs: 6_000 });
      await goTo(page, 'endpoints/adder');
      await page.getByText(/The server has not answered for [3-5](\.\d)? s/).waitFor();
      await page.getByRole('button', { name: 'Predict' }).waitFor();

      proxy.set({ paths: /\/models\/adder(\?|$)/, status: 502 });
      await goTo(page, 'models/adder');
      const problem = page.getByRole('alert').first();
      await problem.getByText("The server answered 502 in a form that is not Slipway's").waitFor();
      await problem.getByText('unexpected_answer').waitFor();
      proxy.set(null);
      await problem.getByRole('button', { name: 'Try again' }).click();
      await page.getByText('Latest version').waitFor();

      // An answer that was there and cannot be had again: what was seen, with its age, and without colour.
      proxy.set({ paths: /\/api\/v1\/(models|endpoints)/, status: 503 });
      await world().shop.client.models.update('adder', { description: 'something changed' });
      const stale = page.getByText(/This is what was seen/).first();
      await stale.waitFor();
      expect(await stale.innerText()).toMatch(/This is what was seen (just now|\d.* ago)\. The server answered 503/);
      expect(await page.evaluate("getComputedStyle(document.querySelector('.stale')).filter")).toBe('grayscale(1)');
      proxy.set(null);
      await stale.getByRole('button', { name: 'Try again' }).click();
      await page.getByText('something changed').waitFor();
    } finally {
      proxy.close();
    }
  });

  test('a server that is slower than things change is still heard to the end', async () => {
    const { shop } = world();
    const proxy = await openProxy(shop.url);
    let changes = 0;
    const change = () => void shop.client.models.update('adder', { description: `change no. ${++changes}` });
    try {
      const made = await world().visit({}, proxy.url);
      const { page } = made;
      await login(made, shop.adminKey, 'models/adder');
      await page.getByRole('button', { name: 'Live' }).waitFor();
      await page.getByRole('link', { name: 'adder@1' }).waitFor();
      proxy.set({ paths: /\/models\/adder(\?|$)/, delayMs: 2_500 });
      const changing = setInterval(change, 600);
      await page.getByText(/change no\. \d+/).waitFor({ timeout: 20_000 });
      clearInterval(changing);
    } finally {
      proxy.close();
    }
  });

  test('a server that is killed, and one without its database: the page says which, and goes on when it is well again', async () => {
    const { shop } = world();
    const page = await world().at('endpoints/credit-risk');
    await page.getByRole('button', { name: 'Live' }).waitFor();
    await page.getByRole('button', { name: 'Predict' }).waitFor();
    const giveBack = await takeDatabase(shop);
    try {
      await page.getByText(/Not connected for/).waitFor();
      await page
        .getByText(/This is what was seen/)
        .first()
        .waitFor();
      expect(await page.locator('main.lost').count()).toBe(1);
      // Loaded anew it says what is wrong; it is no server that does not answer, and no session that is over.
      await page.reload();
      await page.getByRole('heading', { name: 'The server cannot answer now' }).waitFor();
      await page.getByText('slipway rollback').waitFor();
    } finally {
      giveBack();
    }
    await page.getByRole('button', { name: 'Predict' }).waitFor({ timeout: 30_000 });
    await page.getByRole('button', { name: 'Live' }).waitFor();
    const [control] = shop.pids('control');
    process.kill(control!, 'SIGKILL');
    await page.getByText(/Not connected for/).waitFor();
    await page.getByRole('button', { name: 'Live' }).waitFor();
    // The session outlived both, and what is shown is coloured again.
    expect(await page.getByRole('button', { name: 'Predict' }).isVisible()).toBe(true);
    expect(await page.locator('.stale').count()).toBe(0);
  });
}
