/** A pass for one call: control lets somebody it knows through a gateway's door for a moment, with the rights of their key. */
import type { Principal } from '../../base/access/permission.ts';

export type CallPass = {
  readonly id: string;
  readonly secretSha256: string;
  readonly principal: Principal;
  readonly lifeMs: number;
};

export const PASS_MESSAGE = 'pass';
