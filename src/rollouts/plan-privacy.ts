/** What a rollout would write down although the endpoint's policy does not keep it: slices have values of inputs as names, pairs show answers. */
import type { Db } from '../base/db/database.ts';
import type { FieldError } from '../base/errors.ts';
import { fieldNotKept } from '../monitoring/predictions/kept-fields.ts';
import type { Signature } from '../registry/signature.ts';
import { columnsOfSignature } from '../registry/signature-columns.ts';
import type { ComparisonSpec } from '../serving/endpoints/traffic.ts';
import type { Plan } from './plan.ts';

export async function privacyFaults(
  db: Db,
  endpoint: { readonly projectId: string; readonly name: string },
  plan: Plan,
  { signature, compare }: { readonly signature: Signature; readonly compare: ComparisonSpec },
): Promise<FieldError[]> {
  const { columns } = columnsOfSignature(signature);
  const notKept = (side: 'input' | 'output', tensor: string | null): Promise<string | undefined> => {
    const shown = columns.filter((column) => column.side === side && (tensor === null || column.tensor === tensor));
    const names = shown.map((column) => column.name);
    return fieldNotKept(db, endpoint.projectId, endpoint.name, names);
  };
  const faults: FieldError[] = [];
  if (plan.sliceBy?.kind === 'field') {
    const field = await notKept('input', plan.sliceBy.name);
    if (field !== undefined)
      faults.push({
        pointer: '/sliceBy',
        message: `writes down ${field}, which the policy of ${endpoint.name} does not keep`,
      });
  }
  const shadow = plan.stages.findIndex((stage) => stage.kind === 'shadow');
  if (shadow === -1) return faults;
  const field = await notKept('output', compare.kind === 'exact' ? null : compare.output);
  if (field !== undefined)
    faults.push({
      pointer: `/stages/${shadow}`,
      message: `lists pairs of answers with ${field}, which the policy of ${endpoint.name} does not keep`,
    });
  return faults;
}
