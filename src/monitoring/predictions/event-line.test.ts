import fc from 'fast-check';
import { expect, test } from 'vitest';
import { meta, stream } from '../../../test/fixtures/recording.ts';
import { createTokens } from './apply-policy.ts';
import { eventLine, type StreamPolicy } from './event-line.ts';
import { DEFAULT_POLICY, type FieldAction } from './privacy-policy.ts';

const of = (actions: readonly FieldAction[]): StreamPolicy => ({
  stream: stream(),
  policy: { ...DEFAULT_POLICY, sample: 0.25 },
  tokens: createTokens('key'),
  actions,
  unitAction: { action: 'hash' },
  subjectAt: -1,
  joinAt: -1,
  keys: stream().columns.map(({ name }) => `,${JSON.stringify(name)}:`),
});
const keep = stream().columns.map((): FieldAction => ({ action: 'keep' }));

test('a line is JSON of every value, whatever it is; numbers of FP32 come back the same and are short', () => {
  const single = fc.float({ noDefaultInfinity: true, noNaN: true });
  fc.assert(
    fc.property(
      single,
      fc.float(),
      fc.string({ unit: 'binary' }),
      fc.array(fc.double()),
      (age, score, text, vector) => {
        const values = [age, undefined, text, null, text, Float64Array.from(vector), score];
        const event = JSON.parse(eventLine(of(keep), meta(3), 1000, values, values as never)) as Record<
          string,
          unknown
        >;
        expect(event).toMatchObject({ row: 3, at: 1000, weight: 4, 'input.email': text, 'input.customer': text });
        expect(Math.fround(event['input.age'] as number)).toBe(age === 0 ? 0 : age);
        expect(event['output.score']).toEqual(Number.isFinite(score) ? expect.any(Number) : String(score));
        expect(Object.keys(event)).not.toContain('input.amount');
        expect(Object.keys(event)).not.toContain('input.country');
      },
    ),
    { numRuns: 500 },
  );
  const short = eventLine(of(keep), meta(0), 1000, [Math.fround(0.1)], []);
  expect(short).toContain('"input.age":0.1}');
});

test('a number that the policy changed is written as it was changed to', () => {
  const actions: FieldAction[] = [{ action: 'bucket', width: 0.1 }, ...keep.slice(1)];
  expect(eventLine(of(actions), meta(0), 1000, [0.30000001192092896], [])).toContain(
    '"input.age":0.30000001192092896}',
  );
});
