import type { Call } from '../base/access/call.ts';
import type { Db } from '../base/db/database.ts';
import { SlipwayError } from '../base/errors.ts';
import { findModel, type StoredModel } from './model-store.ts';

/** The model that a call names. */
export async function findModelOf(db: Db, call: Call, name: string): Promise<StoredModel> {
  const model = await findModel(db, call.project.id, name);
  if (model) return model;
  throw new SlipwayError('model_not_found', `There is no model ${name.slice(0, 80)}`, {
    hint: '`slipway models list` shows them; `slipway deploy` makes one.',
  });
}
