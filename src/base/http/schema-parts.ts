/** The parts that schemas of requests and answers are made of. */
import { type TSchema, Type } from 'typebox';
import { NAME_PATTERN } from '../ids.ts';

const nameLike = (example: string) => Type.String({ pattern: NAME_PATTERN, examples: [example] });
/** Of a model or an endpoint. */
export const Name = nameLike('churn');
export const AliasName = nameLike('champion');
export const EnvironmentName = nameLike('production');
export const KeyName = nameLike('nightly-job');
export const ProjectName = nameLike('fraud');
/** A version's number, or an alias. */
export const VersionRef = nameLike('2');
export const Time = Type.String({ format: 'date-time' });
export const Nullable = <T extends TSchema>(type: T) => Type.Union([type, Type.Null()]);
export const oneOf = <const T extends readonly string[]>(words: T) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: words });
