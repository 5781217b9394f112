import type { Contract } from '../../base/contract.ts';
import type { ReadSettings, SettingName } from '../../base/settings.ts';

/** What the endpoint of a model that comes with the start is called, where nobody named it. */
export const FIRST_ENDPOINT = 'model';

/**
 * Settings that the contract of a container decides, as texts. Callers come by the platform alone, which sends no keys, so nothing but its own port is open to other machines; that
 * holds against the environment, where an image has its usual settings, and gives way to flags.
 */
export function contractSettings(
  contract: Contract,
  { settings, origins }: ReadSettings,
): Partial<Record<SettingName, string>> {
  const { platform, port, maxBodyMib } = contract;
  const decided: Partial<Record<SettingName, string>> = {
    contract: `${platform}:${port}`,
    host: '127.0.0.1',
    inferenceAuth: 'off',
  };
  if (origins.httpPort === 'default' || settings.httpPort === port) decided.httpPort = '0';
  if (origins.grpcPort === 'default' || settings.grpcPort === port) decided.grpcPort = 'off';
  if (settings.controlPort === port) decided.controlPort = '0';
  if (maxBodyMib !== null && origins.maxBodyBytes === 'default') decided.maxBodyBytes = `${maxBodyMib}MiB`;
  return decided;
}
