import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually, MODELS, pause, untilReady } from '../../scenarios/running-server.ts';
import { fileOf } from '../shop.ts';
import { goTo, type World } from '../world.ts';

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

export function hostileText(world: () => World): void {
  test('300 hostile strings in every field stay text', async () => {
    const { client, dataDir, predictionId } = world().shop;
    const strings = hostileStrings();
    expect(strings.length).toBeGreaterThanOrEqual(300);
    const some = (from: number): string =>
      strings
        .slice(from, from + 20)
        .join(' ')
        .slice(0, 900);
    // What people write: cards, descriptions, tags, reasons, names of keys.
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
    // What callers send, and what a model answers: this one gives back what it got.
    await client.deploy({ model: 'echo', files: [await fileOf(join(MODELS, 'strings.onnx'), 'model.onnx')] });
    await untilReady(world().shop, 'echo');
    await client.policy.set('echo', { sample: 1, fields: { 'input.*': 'keep', 'output.*': 'keep' } });
    await pause(2_000); // a policy holds a second after it was set
    const { predictions } = await client.predict('echo', { records: strings.map((text) => ({ S: [text] })) });
    const id = predictions[0]!.id.replace(/\.\d+$/, '');
    const logged = await eventually('echoes are in the log', async () => {
      const { rows } = await client.predictions.show(id);
      return rows.length === strings.length ? { id, rows } : null;
    });
    expect(JSON.stringify(logged.rows[0]!.outputs)).toContain(JSON.stringify(strings[0]!).slice(1, -1));
    await client.feedback.send(
      strings.map((text, row) => ({ predictionId: `${logged.id}.${row}`, text, source: 'hostile' })),
      { endpoint: 'echo' },
    );
    // What processes write, as lines of ours and as they please.
    appendFileSync(
      join(dataDir, 'logs/slipway.log'),
      strings
        .map((text, i) => (i % 2 === 0 ? JSON.stringify({ level: 50, role: text, msg: text, [text]: text }) : text))
        .join('\n')
        .concat('\n'),
    );
    const page = await world().at('');
    for (const [path, shows] of [
      ['models', 'credit-risk'],
      ['models/credit-risk', 'hostile'],
      ['models/credit-risk/versions/1', 'Validation'],
      ['endpoints/echo', 'Predict'],
      ['endpoints/echo/predictions', 'answered'],
      [`predictions/${logged.id}`, 'What became of it'],
      [`predictions/${logged.id}.0`, strings[0]!],
      [`predictions/${predictionId}`, 'What became of it'],
      ['endpoints/echo/profiles', /predictions|No prediction/],
      ['history/audit', 'alias.set'],
      ['health', strings[281]!],
      [`models/${encodeURIComponent(strings[0]!)}?after=${encodeURIComponent(strings[1]!)}`, 'Try again'],
      [`endpoints/echo/predictions?where=${encodeURIComponent(strings[0]!)}`, 'Try again'],
    ] as const) {
      await goTo(page, path);
      await page.getByText(shows).first().waitFor();
      for (const summary of await page
        .locator('main details.value > summary')
        .all()
        .then((all) => all.slice(0, 3)))
        await summary.click();
      expect(await page.evaluate<boolean>('globalThis.wasHit === true'), path).toBe(false);
    }
    // The form of a try, filled with them.
    await goTo(page, 'endpoints/echo');
    await page.getByRole('button', { name: 'As JSON' }).or(page.getByLabel('Request, as JSON')).first().waitFor();
    const asJson = page.getByRole('button', { name: 'As JSON' });
    if (await asJson.isVisible()) await asJson.click();
    await page.getByLabel('Request, as JSON').fill(JSON.stringify({ records: strings.map((text) => ({ S: [text] })) }));
    await page.getByRole('button', { name: 'Predict' }).click();
    await page.getByRole('region', { name: 'Answer' }).getByText('HTTP 200').waitFor();
    expect(await page.evaluate<boolean>('globalThis.wasHit === true')).toBe(false);
  });

  test('names that are no names are refused, in words that stay text', async () => {
    const page = await world().at('access');
    for (const name of hostileStrings().slice(0, 8)) {
      await page.getByRole('button', { name: 'Make a key' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByLabel('Name').fill(name);
      await dialog.getByRole('button', { name: 'Make a key' }).click();
      await dialog.getByRole('alert').waitFor();
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'hidden' });
    }
    expect(await page.evaluate<boolean>('globalThis.wasHit === true')).toBe(false);
  });
}
