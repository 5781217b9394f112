import { createServer } from 'node:net';
import { listenUntilFree, openOnce, type PortSetting } from '../../base/http/listen.ts';

/**
 * Makes sure that nobody else listens on a port that gateways are going to share: with them, another server of the same user would be let in
 * without a word, and the kernel would share out connections among both.
 * @throws SlipwayError `port_taken`, `invalid_setting`
 */
export async function assertPortFree(host: string, port: number, portSetting: PortSetting): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  await listenUntilFree(probe, { host, port, portSetting }, (address) => openOnce(probe, address));
  await new Promise<void>((resolve) => probe.close(() => resolve()));
}
