/** Ports that speak one protocol alone, and protocols that are switched off: the same keys and versions on each. */
import { afterEach, expect, test } from 'vitest';
import { add, end, type GatewayProcess, json, serve } from '../../../test/fixtures/gateway.ts';
import { hashSecret, makeKey } from '../../base/access/key.ts';

let gateway: GatewayProcess;
afterEach(() => end(gateway));

test('a protocol alone on its port: nothing else is there, and a key is needed as on the shared one', async () => {
  const { text, id, secret } = makeKey();
  const keys = [{ id, project: null, secretSha256: hashSecret(secret), scopes: ['predict'], expiresAt: null }];
  gateway = await serve(
    { versions: [add()], keys },
    {
      env: {
        SLIPWAY_PROTOCOLS: 'open-inference',
        SLIPWAY_PROTOCOL_PORTS: 'plain=0',
        SLIPWAY_INFERENCE_AUTH: 'required',
      },
    },
  );
  const own = gateway.protocolUrls['plain']!;
  expect(own).not.toBe(gateway.url);
  const predict = (url: string, headers: Record<string, string>) =>
    fetch(`${url}/endpoints/add/predict`, json({ inputs: { X: [[1, 2, 3]] } }, headers));
  const answered = await predict(own, { authorization: `Bearer ${text}` });
  expect(answered.status).toBe(200);
  expect(await answered.json()).toMatchObject({ predictions: [{ Y: [2, 3, 4] }] });
  expect((await predict(own, {})).status).toBe(401);
  expect((await predict(own, { authorization: 'Bearer slipway_live_x' })).status).toBe(401);
  expect((await fetch(`${own}/v2/health/ready`)).status).toBe(404);
  expect((await predict(gateway.url, { authorization: `Bearer ${text}` })).status).toBe(404);
});

test.each([
  [
    'as they are listed',
    {},
    { ping: '{"status":"Healthy"}', status: 400, text: 'The input must be a JSON dictionary' },
  ],
  [
    'as SLIPWAY_PROTOCOLS lists them',
    { SLIPWAY_PROTOCOLS: 'sagemaker,mlflow,torchserve,open-inference' },
    { ping: '', status: 200, text: '[[2,3,4]]' },
  ],
  [
    'where the first is switched off',
    { SLIPWAY_PROTOCOLS: 'mlflow,sagemaker,open-inference' },
    { ping: '\n', status: 400, text: 'Received a list' },
  ],
])('of protocols that claim one path the first has it, %s', async (_title, env, wanted) => {
  gateway = await serve({ versions: [add()] }, { env: { SLIPWAY_DEFAULT_ENDPOINT: 'add', ...env } });
  expect(await (await fetch(`${gateway.url}/ping`)).text()).toBe(wanted.ping);
  // A bare list is SageMaker's form, and none of MLflow's.
  const answer = await fetch(`${gateway.url}/invocations`, json([[1, 2, 3]]));
  expect([answer.status, await answer.text()]).toEqual([wanted.status, expect.stringContaining(wanted.text)]);
});

test('names that are no protocol end the start with what there is', async () => {
  await expect(serve({ versions: [] }, { env: { SLIPWAY_PROTOCOLS: 'morse' } })).rejects.toMatchObject({
    code: 'invalid_setting',
  });
});
