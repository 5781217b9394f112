import { describe, expect, it } from 'vitest';
import { readSettings, SETTINGS } from '../base/settings.ts';
import { assertWithin, effectiveLimits, howToRaise, LIMITS, limitsOfSettings, type RunnerLimits } from './limits.ts';

const ceiling = limitsOfSettings(readSettings({}).settings);
const names = Object.keys(LIMITS) as (keyof RunnerLimits)[];

describe('the limits of a version', () => {
  it.each(names)('%s names the setting that bounds it', (name) => {
    expect(LIMITS[name].env).toBe(SETTINGS[LIMITS[name].setting].env);
    expect(ceiling[name]).toBe(SETTINGS[LIMITS[name].setting].default);
    expect(howToRaise(name)).toContain(LIMITS[name].env);
  });

  it('are its own where they are lower, else those of the operator', () => {
    expect(effectiveLimits(ceiling, {})).toEqual({ ...ceiling, maxDelayMs: 0 });
    expect(effectiveLimits(ceiling, { runTimeoutMs: 500 })).toEqual({
      ...ceiling,
      maxDelayMs: 0,
      runTimeoutMs: 500,
    });
    expect(effectiveLimits(ceiling, { maxDelayMs: 5 }).maxDelayMs).toBe(5);
    const lowered = { ...ceiling, memoryBytes: 100, runTimeoutMs: 200 };
    expect(effectiveLimits(lowered, { ...ceiling, runTimeoutMs: 100 })).toEqual({ ...lowered, runTimeoutMs: 100 });
  });

  it.each(names)('%s is not above the setting', (name) => {
    assertWithin(ceiling, { [name]: ceiling[name] });
    const above = { [name]: ceiling[name] + 1 };
    expect(() => assertWithin(ceiling, above)).toThrow(
      expect.objectContaining({
        code: 'invalid_request',
        fields: [{ pointer: `/limits/${name}`, message: expect.stringContaining(LIMITS[name].env) }],
        hint: expect.stringContaining(`raise ${LIMITS[name].env}`),
      }),
    );
  });
});
