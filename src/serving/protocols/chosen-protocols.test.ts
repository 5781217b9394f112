import { expect, test } from 'vitest';
import { readSettings } from '../../base/settings.ts';
import { chooseProtocols } from './chosen-protocols.ts';
import { PROTOCOLS } from './protocols.ts';

const choose = (env: Record<string, string>) => chooseProtocols(readSettings(env).settings);

test('all are spoken unless some are named; then those, in that order', () => {
  expect(choose({})).toEqual({
    shared: PROTOCOLS,
    alone: [],
    grpcShared: ['open-inference', 'tensorflow-serving'],
    grpcAlone: [],
  });
  const { shared } = choose({ SLIPWAY_PROTOCOLS: 'plain, open-inference,plain' });
  expect(shared.map(({ name }) => name)).toEqual(['plain', 'open-inference']);
});

test('one may have a port of its own, also when it is not on the shared one', () => {
  const { shared, alone } = choose({ SLIPWAY_PROTOCOLS: 'plain', SLIPWAY_PROTOCOL_PORTS: 'open-inference=8501' });
  expect(shared.map(({ name }) => name)).toEqual(['plain']);
  expect(alone.map(({ protocol, port }) => [protocol.name, port])).toEqual([['open-inference', 8501]]);
});

test('gRPC follows, and has ports of its own', () => {
  const chosen = choose({
    SLIPWAY_PROTOCOLS: 'plain,open-inference',
    SLIPWAY_PROTOCOL_PORTS: 'tensorflow-serving-grpc=8500',
  });
  expect(chosen).toMatchObject({
    alone: [],
    grpcShared: ['open-inference'],
    grpcAlone: [{ name: 'tensorflow-serving-grpc', port: 8500 }],
  });
});

test.each([
  ['SLIPWAY_PROTOCOLS', 'open-inferenc', 'Did you mean open-inference?'],
  ['SLIPWAY_PROTOCOL_PORTS', 'morse=1', 'Protocols: '],
])('%s with a name that is none is refused', (setting, value, hint) => {
  expect(() => choose({ [setting]: value })).toThrow(
    expect.objectContaining({ code: 'invalid_setting', hint: expect.stringContaining(hint) }),
  );
});

test.each(['x', 'a=1,a=2', 'a=70000', 'a=', 'A=1'])('ports such as %s are refused', (value) => {
  expect(() => choose({ SLIPWAY_PROTOCOL_PORTS: value })).toThrow(/must be pairs/);
});
