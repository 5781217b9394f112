import { commandText } from './command-text.ts';
import { LIST_OPTIONS, listing } from './list-options.ts';
import { checkName } from './name-check.ts';
import { formatAge, table } from './terminal.ts';
import type { NounSpec } from './verb.ts';

export const projects: NounSpec = {
  verbs: [
    {
      name: 'list',
      summary: 'All projects',
      examples: [['slipway projects list', 'the units of isolation and access']],
      options: LIST_OPTIONS,
      async run(call) {
        const client = await call.client();
        const items = await listing(call, (options) => client.projects.list(options));
        call.out.result('projects.list', items, () =>
          table(
            [{ title: 'name' }, { title: 'made' }],
            items.map((project) => [project.name, formatAge(project.createdAt)]),
            call.out.paint,
          ),
        );
      },
    },
    {
      name: 'create',
      summary: 'Make a project',
      examples: [['slipway projects create fraud', 'then `slipway deploy … --project fraud`']],
      args: [{ name: 'name', help: 'its name' }],
      changes: true,
      async run(call) {
        const name = checkName('name', call.args[0]!);
        const client = await call.client();
        const project = await client.projects.create(name, { dryRun: call.dryRun, signal: call.signal });
        call.out.result('projects.create', { ...project, dryRun: call.dryRun }, () =>
          call.dryRun
            ? `Would make project ${name}. Nothing was changed.`
            : `Made project ${name}\nNext: ${commandText(call.options, `deploy ./model.onnx --project ${name}`)}\nUndo: ${commandText(call.options, `projects delete ${name} --confirm=${name}`)}`,
        );
      },
    },
    {
      name: 'delete',
      summary: 'Delete a project',
      about: 'Refused while it has models or endpoints, and for the project default.',
      examples: [['slipway projects delete fraud --confirm=fraud', 'deletes the empty project']],
      args: [{ name: 'name', help: 'its name', completes: 'project' }],
      changes: true,
      severe: true,
      async run(call) {
        const name = call.args[0]!;
        const client = await call.client();
        if (!call.dryRun) await call.confirm(`project ${name}`, name, 'Keys that belong to it stop working.');
        await client.projects.remove(name, { dryRun: call.dryRun, signal: call.signal });
        call.out.result('projects.delete', { deleted: name, dryRun: call.dryRun }, () =>
          call.dryRun ? `Would delete project ${name}. Nothing was changed.` : `Deleted project ${name}`,
        );
      },
    },
  ],
};
