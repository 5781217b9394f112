import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SETTINGS_FILE } from './data-folder.ts';
import type { SlipwayError } from './errors.ts';
import { assertGateways, assertSafeBind, isLoopback, readSettings, SETTINGS, type SettingName } from './settings.ts';
import { warnOfUnknownVariables } from './unknown-variables.ts';

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'slipway-settings-'));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const file = (text: string): void => writeFileSync(join(dataDir, SETTINGS_FILE), text);
const read = (env: Record<string, string> = {}, flags: Partial<Record<SettingName, string>> = {}) =>
  readSettings({ SLIPWAY_DATA: dataDir, ...env }, flags);
function faultsOf(run: () => unknown): Record<string, string> {
  try {
    run();
  } catch (error) {
    expect((error as SlipwayError).code).toBe('invalid_setting');
    return Object.fromEntries((error as SlipwayError).fields.map((field) => [field.pointer, field.message]));
  }
  throw new Error('nothing was refused');
}

describe('the table', () => {
  test.each(Object.entries(SETTINGS))('%s has a variable, a flag and a help text of its own form', (_name, row) => {
    expect(row.env).toMatch(/^SLIPWAY_[A-Z_]+$/);
    expect(row.flag).toMatch(/^--[a-z-]+$/);
    expect(row.help).toMatch(/^[A-Z].*\.$/s);
  });

  test('uses no variable and no flag twice', () => {
    const rows = Object.values(SETTINGS);
    expect(new Set(rows.map((row) => row.env)).size).toBe(rows.length);
    expect(new Set(rows.map((row) => row.flag)).size).toBe(rows.length);
  });
});

describe('a setting', () => {
  test('comes from default, file, environment and flag, the later winning, and its origin is known', () => {
    const of = (env: Record<string, string>, flags: Partial<Record<SettingName, string>>) => {
      const { settings, origins } = read(env, flags);
      return [settings.queueLimit, origins.queueLimit];
    };
    expect(of({}, {})).toEqual([1024, 'default']);
    file('queueLimit: 7\n');
    expect(of({}, {})).toEqual([7, 'file']);
    expect(of({ SLIPWAY_QUEUE_LIMIT: '8' }, {})).toEqual([8, 'env']);
    expect(of({ SLIPWAY_QUEUE_LIMIT: '8' }, { queueLimit: '9' })).toEqual([9, 'flag']);
    expect(of({ SLIPWAY_QUEUE_LIMIT: '' }, {})).toEqual([7, 'file']);
  });

  test('cannot be changed after it was read', () => {
    const { settings } = read();
    expect(() => Object.assign(settings, { queueLimit: 1 })).toThrow();
  });

  test.each([
    ['64MiB', 64 * 1024 * 1024],
    ['1.5 GiB', 1.5 * 1024 ** 3],
    ['512kib', 512 * 1024],
    ['100b', 100],
  ])('that is a size takes %s', (text, bytes) => {
    expect(read({ SLIPWAY_MAX_BODY: text }).settings.maxBodyBytes).toBe(bytes);
  });

  test.each([
    ['500ms', 500],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['1h', 3_600_000],
  ])('that is a duration takes %s', (text, ms) => {
    expect(read({ SLIPWAY_DRAIN: text }).settings.drainMs).toBe(ms);
  });

  test('that is a list takes commas, in a file also a YAML list', () => {
    expect(read({ SLIPWAY_ALLOWED_HOSTS: 'a.example, b.example,' }).settings.allowedHosts).toEqual([
      'a.example',
      'b.example',
    ]);
    file('allowedHosts: [c.example, d.example]\n');
    expect(read().settings.allowedHosts).toEqual(['c.example', 'd.example']);
  });
});

describe('faults', () => {
  test('are told all at once, wherever they come from, with what would be right', () => {
    file('queueLimit: many\nnoSuchSetting: 1\ndataDir: /elsewhere\n');
    const faults = faultsOf(() =>
      read({ SLIPWAY_HTTP_PORT: '99999', SLIPWAY_MAX_BODY: '64' }, { logLevel: 'loud', drainMs: '5' }),
    );
    expect(Object.keys(faults).sort()).toEqual([
      '/dataDir',
      '/drainMs',
      '/httpPort',
      '/logLevel',
      '/maxBodyBytes',
      '/noSuchSetting',
      '/queueLimit',
    ]);
    expect(faults['/httpPort']).toBe('SLIPWAY_HTTP_PORT is "99999"; it must be a whole number from 0 to 65535');
    expect(faults['/maxBodyBytes']).toContain('a size with its unit');
    expect(faults['/drainMs']).toContain('a duration with its unit');
    expect(faults['/logLevel']).toContain('one of debug, info, warn, error');
  });

  test('a mistyped name in the file is named with its line and what was probably meant', () => {
    file('# ports\nhtpPort: 1\nzzz: 2\nqueueLimit: lots\n');
    expect(faultsOf(() => read())).toEqual({
      '/htpPort': 'htpPort in line 2 of settings.yaml is no setting; did you mean httpPort?',
      '/zzz': 'zzz in line 3 of settings.yaml is no setting',
      '/queueLimit': expect.stringMatching(
        /^queueLimit in line 4 of settings\.yaml is "lots"; it must be a whole number/,
      ),
    });
  });

  test('a mistyped variable is told; those with a meaning elsewhere and those of tests are not', () => {
    const env = {
      SLIPWAY_HTPP_PORT: '1',
      SLIPWAY_ZZZ: '',
      SLIPWAY_URL: 'x',
      SLIPWAY_TEST_SEED: '1',
      SLIPWAY_HOST: 'y',
    };
    expect(warnOfUnknownVariables({ ...env, PATH: '/bin' }, ['SLIPWAY_URL'])).toEqual([
      'SLIPWAY_HTPP_PORT is no setting and is ignored; did you mean SLIPWAY_HTTP_PORT?',
      'SLIPWAY_ZZZ is no setting and is ignored',
    ]);
  });

  test.each(['-1', '1.5', '1e3', '0x10', ' ', 'NaN', '65536', ''])('a port is not %j', (text) => {
    if (text === '') expect(read({ SLIPWAY_HTTP_PORT: text }).settings.httpPort).toBe(8080);
    else expect(() => read({ SLIPWAY_HTTP_PORT: text })).toThrow();
  });

  test.each(['- a list\n', 'just text\n', 'a: [1\n', 'queueLimit: 1\nqueueLimit: 2\n'])(
    'a file that is %j is refused',
    (text) => {
      file(text);
      expect(() => read()).toThrow(expect.objectContaining({ code: 'invalid_setting' }));
    },
  );

  test('a file with nothing in it says nothing', () => {
    file('# nothing yet\n');
    expect(read().settings.queueLimit).toBe(1024);
  });
});

describe('the address', () => {
  test.each(['localhost', '127.0.0.1', '127.8.9.1', '::1', '[::1]'])('%s is this machine', (host) => {
    expect(isLoopback(host)).toBe(true);
    expect(() => assertSafeBind({ host, inferenceAuth: 'off' })).not.toThrow();
  });

  test.each([
    '0.0.0.0',
    '::',
    '192.168.1.5',
    'example.com',
    '127.0.0.1.example.com',
    'localhost.example.com',
    '',
    '128.0.0.1',
  ])('%s is public: refused without authentication', (host) => {
    expect(isLoopback(host)).toBe(false);
    expect(() => assertSafeBind({ host, inferenceAuth: 'off' })).toThrow(
      expect.objectContaining({ code: 'unsafe_bind', hint: expect.stringContaining('SLIPWAY_INFERENCE_AUTH') }),
    );
    expect(() => assertSafeBind({ host, inferenceAuth: 'required' })).not.toThrow();
  });
});

describe('gateways', () => {
  test('are a number, or as many as the cores let be', () => {
    expect(read().settings.gateways).toBe(1);
    expect(read({ SLIPWAY_GATEWAYS: '4' }).settings.gateways).toBe(4);
    const auto = read({ SLIPWAY_GATEWAYS: 'auto' }).settings.gateways;
    const most = process.platform === 'linux' ? 8 : 1;
    expect(auto).toBe(Math.max(1, Math.min(availableParallelism() - 1, most)));
    for (const bad of ['0', '-1', '65', '1.5', 'all', '2x']) {
      expect(faultsOf(() => read({ SLIPWAY_GATEWAYS: bad }))['/gateways']).toMatch(/from 1 to 64, or auto/);
    }
  });

  test('more than one are refused where a port cannot be shared', () => {
    assertGateways({ gateways: 1 }, false);
    assertGateways({ gateways: 2 }, true);
    expect(() => assertGateways({ gateways: 2 }, false)).toThrow(/2 gateways cannot share one port/);
  });
});
