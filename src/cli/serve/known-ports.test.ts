import { expect, test } from 'vitest';
import { knownPorts } from './known-ports.ts';

const ready = (url: string, grpcAddress: string | null) => ({ url, grpcAddress });

test('ports that were found stay for the next start, port 80 among them', () => {
  expect(knownPorts({})).toEqual({});
  expect(knownPorts({ control: ready('http://127.0.0.1:8082', null) })).toEqual({ SLIPWAY_CONTROL_PORT: '8082' });
  expect(
    knownPorts({ control: ready('http://[::1]:80', null), gateway: ready('http://127.0.0.1:80', '[::1]:8081') }),
  ).toEqual({ SLIPWAY_CONTROL_PORT: '80', SLIPWAY_HTTP_PORT: '80', SLIPWAY_GRPC_PORT: '8081' });
});
