import { SlipwayError } from '../errors.ts';
import { NAME_PATTERN } from '../ids.ts';

export const VERBS = ['read', 'predict', 'deploy', 'code', 'promote', 'admin'] as const;
export type Verb = (typeof VERBS)[number];

/** Who asks, as their key says it. */
export type Principal = {
  /** `key:<name>`: how the audit log names them. */
  readonly actor: string;
  readonly keyId: string;
  /** Name of the one project the key is bound to; null: every project. */
  readonly project: string | null;
  /** `verb` or `verb:model`. */
  readonly scopes: readonly string[];
};

/** What else a verb allows. `predict` stands alone: a key in a web shop's server reads no registry. */
const INCLUDES: Readonly<Record<Verb, readonly Verb[]>> = {
  read: ['read'],
  predict: ['predict'],
  deploy: ['deploy', 'read'],
  // Beside deploy: to register models whose own code runs.
  code: ['code'],
  promote: ['promote', 'read'],
  admin: VERBS,
};

const MODEL = new RegExp(NAME_PATTERN);

export type Scope = { readonly verb: Verb; readonly model: string | null };

/** @returns null when it is no scope; `admin` is never limited to a model, as it covers what is not a model's */
export function parseScope(text: string): Scope | null {
  const colon = text.indexOf(':');
  const verb = (colon === -1 ? text : text.slice(0, colon)) as Verb;
  const model = colon === -1 ? null : text.slice(colon + 1);
  if (!VERBS.includes(verb)) return null;
  if (model !== null && (verb === 'admin' || !MODEL.test(model))) return null;
  return { verb, model };
}

/**
 * Whether the key allows a verb on a model of a project; without a model, on all models and what is no model's.
 * A scope limited to a model allows nothing beyond that model.
 */
export function can(principal: Principal, verb: Verb, project: string, model?: string): boolean {
  return (
    seesProject(principal, project) &&
    grants(principal, verb, (only) => only === null || (model !== undefined && only === model))
  );
}

/** Whether the key allows the verb on something in the project: what a router can know before a service looks closer. */
export function canSome(principal: Principal, verb: Verb, project: string): boolean {
  return seesProject(principal, project) && grants(principal, verb, () => true);
}

/** A key bound to another project sees nothing of this one, not even that it exists. */
export function seesProject(principal: Principal, project: string): boolean {
  return principal.project === null || principal.project === project;
}

function grants(principal: Principal, verb: Verb, covers: (model: string | null) => boolean): boolean {
  return principal.scopes.some((text) => {
    const scope = parseScope(text);
    return scope !== null && INCLUDES[scope.verb].includes(verb) && covers(scope.model);
  });
}

/** @throws SlipwayError `not_permitted` */
export function assertCan(principal: Principal, verb: Verb, project: string, model?: string): void {
  if (can(principal, verb, project, model)) return;
  throw notPermitted(principal, verb, model);
}

export function notPermitted(principal: Principal, verb: Verb, model?: string): SlipwayError {
  const what = model === undefined ? verb : `${verb}:${model}`;
  return new SlipwayError('not_permitted', `The API key ${principal.actor.replace(/^key:/, '')} has no scope ${what}`, {
    hint: `Use a key with the scope ${model === undefined ? verb : `${verb} or ${what}`}; an administrator makes one.`,
  });
}
