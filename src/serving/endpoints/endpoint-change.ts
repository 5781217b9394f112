/**
 * What a gateway asks of control in a caller's name, over the control socket. A gateway never decides and never writes: it hands on the
 * key, and control looks at it as the management API would.
 */

/** What became of a prediction, in the words of the management API. */
export type GivenFeedback = {
  /** `<prediction id>` or `<prediction id>.<row>`. */
  readonly predictionId: string;
  readonly truth?: unknown;
  readonly score?: number;
};

export type EndpointChange =
  | { readonly loaded: boolean }
  /** Moves it to another version of its model. */
  | { readonly version: number }
  /** Makes it, over a version or what an alias names. */
  | { readonly create: { readonly model: string; readonly version: number | string } }
  /** Makes it, over a model in a folder that a container's platform keeps. */
  | { readonly create: { readonly folder: string } }
  /** A version is no longer kept loaded beside the one that answers. */
  | { readonly unpin: number }
  | { readonly remove: true };

/** On an error where there is no room for a model now, so that a platform makes some and asks again. */
export const NO_ROOM = 'noRoom';

/** What a gateway hands on in a caller's name: a change of what is served, or feedback. */
export type Asked = EndpointChange | { readonly feedback: readonly GivenFeedback[] };

export type ChangeAsked = {
  /** The caller's own API key, which is in no log; null for a container's platform, which has none. */
  readonly key: string | null;
  readonly project: string;
  /** Null for feedback about predictions of any endpoint. */
  readonly endpoint: string | null;
  readonly change: Asked;
  readonly requestId: string;
};
