/**
 * JSON texts in the manner of public parser suites, written for this test, sent through a real prediction. What JSON allows is never a
 * syntax fault, what it forbids always is; the undecided ones are decided here, each with its reason.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { end, type GatewayProcess, json, serve, tensor } from '../../../test/fixtures/gateway.ts';

let gateway: GatewayProcess;

beforeAll(async () => {
  gateway = await serve({
    versions: [
      {
        model: 'strings',
        file: 'strings.onnx',
        signature: { inputs: [tensor('S', 'BYTES', -1, 1)], outputs: [tensor('Y', 'BYTES', -1, 1)] },
        sampleRequest: { records: [{ S: 'x' }] },
      },
    ],
  });
}, 60_000);
afterAll(() => end(gateway));

/** The value stands where any value may stand: in an unknown key beside a good request. Only its syntax can be at fault, or its name. */
const beside = (value: string | Buffer): Buffer =>
  Buffer.concat([Buffer.from('{"records":[{"S":"x"}],"extra":'), Buffer.from(value), Buffer.from('}')]);

async function codeOf(body: Buffer): Promise<{ code: string; text: string }> {
  const startedMs = performance.now();
  const response = await fetch(`${gateway.url}/endpoints/strings/predict`, { ...json(''), body: new Uint8Array(body) });
  const text = await response.text();
  expect(response.status).toBe(400);
  expect(performance.now() - startedMs).toBeLessThan(1000);
  return { code: (JSON.parse(text) as { code: string }).code, text };
}

const ALLOWED: readonly string[] = [
  '[]',
  '{}',
  '[[]   ]',
  ' [1] ',
  '\n\t\r [1]',
  '[null,true,false]',
  '""',
  '"\\u0060\\u012a\\u12AB"',
  '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
  '"\\uD801\\uDC37"',
  '"\\ud83d\\ude39\\ud83d\\udc8d"',
  '"a/*b*/c/*d//e"',
  '"\u2028\u2029"',
  '"\u007f"',
  '"\\u0012"',
  '"π"',
  '"𝄞"',
  '"\uffff"',
  '"\\uFFFE"',
  '0',
  '-0',
  '1',
  '-1',
  '0.1',
  '1E22',
  '1e-2',
  '1e+2',
  '0e1',
  '0e+1',
  '20e1',
  '123.456e78',
  '-123123',
  '1.0',
  '-0.000000000000000000000000000000000000000000000000000000000000000000000000000001',
  '{"":0}',
  '{"a":[]}',
  '{"a":{"b":{}}}',
  '{"\\u0000":1}',
  '{"min":-1.0e+28,"max":1.0e+28}',
  '{"a":"b"}',
  '{"title":"\\u041f\\u043e\\u043b"}',
  `${'['.repeat(90)}${']'.repeat(90)}`,
];

const FORBIDDEN: readonly (string | Buffer)[] = [
  '',
  ' ',
  '[',
  ']',
  '{',
  '}',
  '[1',
  '[1,',
  '[1,]',
  '[,1]',
  '[1,,2]',
  '[1 2]',
  '["a" "b"]',
  '[1:2]',
  '[3[4]]',
  '{"a"}',
  '{"a":}',
  '{"a" 1}',
  '{"a":1,}',
  '{,"a":1}',
  '{a:1}',
  "{'a':1}",
  '{"a":1 "b":2}',
  '{"a":"b",,"c":1}',
  '{1:1}',
  '{null:1}',
  '{[]:1}',
  '[1]x',
  '[1]]',
  '1 000',
  '1}{',
  'nul',
  'nulll',
  'True',
  'TRUE',
  'undefined',
  'nan',
  'NaN',
  '-NaN',
  'Infinity',
  '-Infinity',
  '+Infinity',
  'inf',
  '+1',
  '++1',
  '--1',
  '- 1',
  '-',
  '.1',
  '-.1',
  '1.',
  '1.e1',
  '-1.',
  '01',
  '-01',
  '-012',
  '00',
  '0x1',
  '0xG',
  '1e',
  '1e+',
  '1E',
  '1e1.1',
  '1eE2',
  '0.3e',
  '0e',
  '1_000',
  '1,2',
  '٣',
  '１',
  '1a',
  '1ea',
  '12f',
  '"',
  '"a',
  '"a\\',
  '"\\a"',
  '"\\x00"',
  '"\\u"',
  '"\\u00"',
  '"\\u00g0"',
  '"\\U0041"',
  '"\\ "',
  '"\\\n"',
  '"\n"',
  '"\t"',
  '"\u0000"',
  '"\u001f"',
  "'a'",
  '`a`',
  'a',
  '“a”',
  '["a',
  '/**/1',
  '1//x',
  '1#x',
  '<a>',
  '[\u000b1]',
  '[\u000c1]',
  '\u00a01',
  '\u20601',
  '\ufeff1',
  '[1]\u0000',
  'a\u00e5',
  '[\\n]',
  '*',
  '$',
  '\\',
  '{"a":/**/1}',
  '{"a":true}}',
  '{{}}',
  '[{}',
  '["',
  '[["a"]',
  '{"a":[}',
  '[}',
  '{]',
  Buffer.from([0x22, 0xff, 0x22]),
  Buffer.from([0x22, 0xc0, 0x80, 0x22]),
  Buffer.from([0x22, 0xe0, 0x80, 0x80, 0x22]),
  Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]),
  Buffer.from([0x22, 0xf4, 0x90, 0x80, 0x80, 0x22]),
  Buffer.from([0x22, 0x80, 0x22]),
  Buffer.from([0x22, 0xc3, 0x22]),
  Buffer.from([0xfe, 0xff, 0x00, 0x31]),
  Buffer.from([0x31, 0x00]),
];

/** Allowed by the grammar, refused here because an answer would silently be about something else. */
const DECIDED: readonly [string, string, string][] = [
  ['a key twice', '{"a":1,"a":2}', 'readers differ in which one counts'],
  ['a key twice, once escaped', '{"a":1,"\\u0061":2}', 'readers differ in which one counts'],
  ['an empty key twice', '{"":1,"":2}', 'readers differ in which one counts'],
  ['the key __proto__', '{"__proto__":1}', 'it means something else to some readers'],
  ['a number beyond doubles', '1e400', 'it would become infinite'],
  ['a number far below', '-1e9999', 'it would become infinite'],
  ['an integer beyond doubles', '1'.repeat(400), 'it would become infinite'],
  ['half of a surrogate pair', '"\\ud800"', 'it has no UTF-8'],
  ['the wrong half first', '"\\udc00\\ud800"', 'it has no UTF-8'],
  ['a half as key', '{"\\udfff":1}', 'it has no UTF-8'],
  ['depth 101', `${'['.repeat(101)}${']'.repeat(101)}`, 'no tensor nests like this'],
  ['depth 100,000', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, 'writing it back overflows the stack'],
  ['depth 100,000 never closed', '['.repeat(100_000), 'as above'],
  ['depth by objects', `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`, 'as above'],
];

const show = (text: string | Buffer): string => JSON.stringify(text.toString('latin1' as BufferEncoding)).slice(0, 60);

describe('JSON through a prediction', () => {
  it.each(ALLOWED.map((text): [string, string] => [show(text), text]))('allowed: %s', async (_title, text) => {
    expect((await codeOf(beside(text))).code).toBe('invalid_input'); // the unknown key, not the syntax
  });

  it.each(FORBIDDEN.map((text): [string, string | Buffer] => [show(text), text]))(
    'forbidden: %s',
    async (_title, text) => {
      expect((await codeOf(beside(text))).code).toBe('invalid_json');
    },
  );

  it.each(DECIDED)('refused: %s', async (_title, text) => {
    expect((await codeOf(beside(text))).code).toBe('invalid_json');
  });

  it('by infer, and by infer with binary data behind it, each text has the same verdict', async () => {
    const good = '{"inputs":[{"name":"S","shape":[1,1],"datatype":"BYTES","data":["x"]}],"extra":';
    const verdictOf = async (value: string | Buffer, isBinary: boolean): Promise<string> => {
      const body = Buffer.concat([Buffer.from(good), Buffer.from(value), Buffer.from('}')]);
      const headers: Record<string, string> = isBinary ? { 'inference-header-content-length': `${body.length}` } : {};
      const url = `${gateway.url}/v2/models/strings/infer`;
      const response = await fetch(url, { ...json('', headers), body: new Uint8Array(body) });
      const { error } = (await response.json()) as { error: string };
      return `${response.status} ${/extra is not known/.test(error) ? 'name' : 'syntax'}`;
    };
    for (const isBinary of [false, true]) {
      for (const text of ALLOWED) expect(await verdictOf(text, isBinary), show(text)).toBe('400 name');
      for (const text of [...FORBIDDEN, ...DECIDED.map(([, one]) => one)]) {
        expect(await verdictOf(text, isBinary), show(text)).toBe('400 syntax');
      }
    }
  }, 60_000);

  it('an underflow is zero and a large integer stays exact, which is no fault', async () => {
    expect((await codeOf(beside('1e-400'))).code).toBe('invalid_input');
    expect((await codeOf(beside('18446744073709551616'))).code).toBe('invalid_input');
  });

  it('a body that starts with a byte order mark is refused', async () => {
    const body = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from('{"records":[{"S":"x"}]}')]);
    expect((await codeOf(body)).code).toBe('invalid_json');
  });

  it('nothing that was sent stands in the log', () => {
    expect(gateway.log()).not.toMatch(/extra|invalid_json/);
  });
});
