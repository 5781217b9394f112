/** Which protocols are spoken on which port, by the settings. */
import { closestWord } from '../../base/closest-word.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Settings } from '../../base/settings.ts';
import type { NamedPort } from '../../base/settings-values.ts';
import type { Protocol } from './protocol.ts';
import { PROTOCOLS } from './protocols.ts';

export type ChosenProtocols = {
  /** On the port of all inference over HTTP; of two that claim a path the first has it. */
  readonly shared: readonly Protocol[];
  /** Each alone on a port of its own. */
  readonly alone: readonly { readonly protocol: Protocol; readonly port: number }[];
  /** Names of protocols that have gRPC services, on the port of all gRPC. */
  readonly grpcShared: readonly string[];
  readonly grpcAlone: readonly { readonly name: string; readonly port: number }[];
};

/** Of these there are gRPC services too; a port for them alone is named with `-grpc` behind. */
const WITH_GRPC = ['open-inference', 'tensorflow-serving'];
const GRPC = '-grpc';

/** @throws SlipwayError `invalid_setting` for a name that is none */
export function chooseProtocols(
  { protocols, protocolPorts }: Pick<Settings, 'protocols' | 'protocolPorts'>,
  all = PROTOCOLS,
): ChosenProtocols {
  const named = (name: string, setting: string): Protocol => {
    const protocol = all.find((one) => one.name === name);
    if (protocol !== undefined) return protocol;
    const ports = setting === 'SLIPWAY_PROTOCOL_PORTS' ? WITH_GRPC.map((one) => one + GRPC) : [];
    const names = [...all.map((one) => one.name), ...ports];
    const near = closestWord(name, names);
    throw new SlipwayError('invalid_setting', `${setting} names ${JSON.stringify(name)}, which is no protocol`, {
      hint: `${near === null ? '' : `Did you mean ${near}? `}Protocols: ${names.join(', ')}.`,
    });
  };
  const chosen = protocols.map((name) => named(name, 'SLIPWAY_PROTOCOLS'));
  const shared = chosen.length === 0 ? all : [...new Set(chosen)];
  const isGrpc = ({ name }: NamedPort): boolean =>
    name.endsWith(GRPC) && WITH_GRPC.includes(name.slice(0, -GRPC.length));
  const alone = protocolPorts.filter((one) => !isGrpc(one));
  return {
    shared,
    alone: alone.map(({ name, port }) => ({ protocol: named(name, 'SLIPWAY_PROTOCOL_PORTS'), port })),
    grpcShared: WITH_GRPC.filter((name) => shared.some((one) => one.name === name)),
    grpcAlone: protocolPorts.filter(isGrpc),
  };
}
