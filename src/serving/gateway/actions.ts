import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { ChangeAsked } from '../endpoints/endpoint-change.ts';
import type { ActionCall, ActionRoute, ServerView, WireAnswer } from '../protocols/protocol.ts';
import { contentOf, headOf } from './content.ts';
import type { Exchange } from './exchange.ts';
import { type KeyHeaders, keyTextOf } from './inference-access.ts';
import type { Done } from './request-body.ts';
import type { Match } from './route-table.ts';

/** Settles when the change is made, and rejects with what control says. */
export type AskControl = (asked: ChangeAsked) => Promise<void>;

export type ActionDeps = {
  readonly askControl: AskControl;
  /** A container's platform has no keys: what it may change is control's to know. */
  readonly changesNeedKey: boolean;
  readonly answer: (exchange: Exchange, content: string | WireAnswer) => void;
  readonly refuse: (exchange: Exchange, error: SlipwayError) => void;
};

/** Reads the body, acts, and answers. Who asks was looked at before; what needs more than reading is control's to permit. */
export function handleAction(
  deps: ActionDeps,
  exchange: Exchange,
  match: Match<ActionRoute>,
  server: ServerView,
  read: (done: Done) => void,
): void {
  const { requestId, wire } = exchange;
  const { headers } = wire;
  const act = async (body: Buffer): Promise<unknown> => {
    const call: ActionCall = {
      ...headOf(exchange, match),
      body,
      server,
      endpoint: match.ref,
      changeEndpoint: async (endpoint, change) => {
        const key = deps.changesNeedKey ? keyForChange(headers) : keyTextOf(headers);
        await deps.askControl({ key, project: match.project, endpoint, change, requestId });
      },
      giveFeedback: async (feedback) => {
        const key = keyForChange(headers);
        const endpoint = match.ref?.name ?? null;
        await deps.askControl({ key, project: match.project, endpoint, change: { feedback }, requestId });
      },
    };
    return match.route.act(call);
  };
  read((error, body) => {
    if (error !== null) return deps.refuse(exchange, error);
    act(body!).then(
      (value) => deps.answer(exchange, contentOf(value)),
      (thrown: unknown) => deps.refuse(exchange, toSlipwayError(thrown)),
    );
  });
}

/**
 * The key of a caller who asks for a change, as it came: control judges it. Where predictions need none, changing what is served still does.
 * @throws SlipwayError `key_missing`
 */
export function keyForChange(headers: KeyHeaders): string {
  const key = keyTextOf(headers);
  if (key !== null) return key;
  throw new SlipwayError(
    'key_missing',
    'Loading and unloading, and feedback, need an API key, also where predictions need none',
    {
      hint: 'Send Authorization: Bearer <key>, as a header or as metadata of gRPC, with a key of the scope deploy, or predict for feedback.',
    },
  );
}
