/**
 * What a gateway asks of control in a caller's name, over the control socket. A gateway never decides and never writes: it hands on the
 * key, and control looks at it as the management API would.
 */

export type EndpointChange = { readonly loaded: boolean };

export type ChangeAsked = {
  /** The caller's own API key. It is in no log. */
  readonly key: string;
  readonly project: string;
  readonly endpoint: string;
  readonly change: EndpointChange;
  readonly requestId: string;
};
