/** Which protocols are spoken on which port, by the settings. */
import { closestWord } from '../../base/closest-word.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Settings } from '../../base/settings.ts';
import type { Protocol } from './protocol.ts';
import { PROTOCOLS } from './protocols.ts';

export type ChosenProtocols = {
  /** On the port of all inference over HTTP; of two that claim a path the first has it. */
  readonly shared: readonly Protocol[];
  /** Each alone on a port of its own. */
  readonly alone: readonly { readonly protocol: Protocol; readonly port: number }[];
};

/** @throws SlipwayError `invalid_setting` for a name that is none */
export function chooseProtocols(
  { protocols, protocolPorts }: Pick<Settings, 'protocols' | 'protocolPorts'>,
  all = PROTOCOLS,
): ChosenProtocols {
  const named = (name: string, setting: string): Protocol => {
    const protocol = all.find((one) => one.name === name);
    if (protocol !== undefined) return protocol;
    const names = all.map((one) => one.name);
    const near = closestWord(name, names);
    throw new SlipwayError('invalid_setting', `${setting} names ${JSON.stringify(name)}, which is no protocol`, {
      hint: `${near === null ? '' : `Did you mean ${near}? `}Protocols: ${names.join(', ')}.`,
    });
  };
  const shared = protocols.map((name) => named(name, 'SLIPWAY_PROTOCOLS'));
  return {
    shared: shared.length === 0 ? all : [...new Set(shared)],
    alone: protocolPorts.map(({ name, port }) => ({ protocol: named(name, 'SLIPWAY_PROTOCOL_PORTS'), port })),
  };
}
