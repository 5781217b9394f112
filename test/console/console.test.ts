/** The console as people use it, in a real browser against the whole product: one server, one browser, one story after the other. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildConsole } from '../../scripts/build-console.ts';
import { ROOT } from '../scenarios/running-server.ts';
import { BROWSER, NO_BROWSER } from './browser.ts';
import { everyScreen } from './stories/every-screen.ts';
import { hostileText } from './stories/hostile.ts';
import { illServer } from './stories/ill-server.ts';
import { byKeyboard } from './stories/keyboard.ts';
import { serving } from './stories/serving.ts';
import { signIn } from './stories/sign-in.ts';
import { openWorld, type World } from './world.ts';

if (BROWSER === null) console.warn(`The console is not tried: ${NO_BROWSER}`);

let opened: World;
const world = (): World => opened;

describe.skipIf(BROWSER === null)('the console', () => {
  beforeAll(async () => {
    buildConsole();
    // Callers need a key here, so that what the pages try goes through with theirs.
    opened = await openWorld({ SLIPWAY_INFERENCE_AUTH: 'required' });
  }, 120_000);
  afterAll(() => opened?.close());

  signIn(world);
  everyScreen(world);
  serving(world);
  byKeyboard(world);
  hostileText(world);
  illServer(world);

  test('the first load is within its budget', () => {
    const folder = join(ROOT, 'console/dist/assets');
    const script = readdirSync(folder)
      .filter((name) => name.endsWith('.js'))
      .reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name)), { level: 9 }).length, 0);
    expect(script).toBeLessThan(250 * 1024);
    expect(script).toBeGreaterThan(50 * 1024);
  });

  test('all the while no page asked another server, broke its policy or failed', () => {
    expect(world().visits.length).toBeGreaterThan(4);
    expect(world().visits.flatMap((one) => one.outside)).toEqual([]);
    expect(world().visits.flatMap((one) => one.faults)).toEqual([]);
  });
});
