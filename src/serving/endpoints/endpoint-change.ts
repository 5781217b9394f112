/**
 * What a gateway asks of control in a caller's name, over the control socket. A gateway never decides and never writes: it hands on the
 * key, and control looks at it as the management API would.
 */

export type EndpointChange =
  | { readonly loaded: boolean }
  /** Moves it to another version of its model. */
  | { readonly version: number }
  /** Makes it, over a version or what an alias names. */
  | { readonly create: { readonly model: string; readonly version: number | string } }
  /** A version is no longer kept loaded beside the one that answers. */
  | { readonly unpin: number }
  | { readonly remove: true };

export type ChangeAsked = {
  /** The caller's own API key. It is in no log. */
  readonly key: string;
  readonly project: string;
  readonly endpoint: string;
  readonly change: EndpointChange;
  readonly requestId: string;
};
