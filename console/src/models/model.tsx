import type { Endpoint, Model, Version } from '@slipway/sdk';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { addressOf, useParam, useSearchText } from '../address.ts';
import { firstOf, PAGE_LIMIT } from '../first-of.ts';
import { Act } from '../parts/act.tsx';
import { bytes, duration } from '../parts/figures.ts';
import { Loaded } from '../parts/loaded.tsx';
import { Markdown } from '../parts/markdown.tsx';
import { Empty, Facts, Page, Section } from '../parts/page.tsx';
import { Status, toneOf } from '../parts/status.tsx';
import { PAGE_ROWS, PagedTable, Table } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';
import { useProject, useRefusal } from '../session.tsx';

export function ModelPage() {
  const name = useParam('model');
  const { client, project } = useProject();
  const after = useSearchText('after');
  const model = useQuery({ queryKey: ['registry', project, 'model', name], queryFn: () => client.models.show(name) });
  const versions = useQuery({
    queryKey: ['registry', project, 'versions', name, after],
    queryFn: () => client.versions.list(name, { limit: PAGE_ROWS }).page(after),
  });
  const endpoints = useQuery({
    queryKey: ['endpoints', project, 'all'],
    queryFn: () => firstOf(client.endpoints.list({ limit: PAGE_LIMIT })),
  });
  const mayDeploy = useRefusal('deploy', name);
  return (
    <Page
      title={name}
      trail={[{ to: '/models', text: 'Models' }]}
      about={model.data?.description}
      actions={
        <>
          <Link to="/upload" search={{ model: name } as never} className="button main">
            Upload a version
          </Link>
          <Act
            text="Delete model"
            kind="danger"
            refusal={mayDeploy}
            typeName={name}
            consequence={`The model ${name} and all of its versions go, for good. The server refuses it while an endpoint serves one of them.`}
            run={() => client.models.remove(name)}
            done={`The model ${name} was deleted.`}
          />
        </>
      }
    >
      <Loaded query={model}>{(seen) => <About model={seen} endpoints={endpoints.data?.items ?? []} />}</Loaded>
      <Section
        title="Versions"
        actions={
          (model.data?.latestVersion ?? 0) > 1 && (
            <Link
              to={addressOf.compare(name)}
              search={{ from: String(model.data!.latestVersion! - 1), to: String(model.data!.latestVersion) } as never}
            >
              Compare versions
            </Link>
          )
        }
      >
        <PagedTable<Version>
          label="Versions"
          query={versions}
          idOf={(row) => String(row.version)}
          empty={
            <Empty command={`bin/slipway deploy ./model.onnx --name ${name}`}>This model has no version yet.</Empty>
          }
          columns={[
            {
              title: 'Version',
              cell: (row) => <Link to={addressOf.version(name, row.version)}>{`${name}@${row.version}`}</Link>,
            },
            {
              title: 'Status',
              cell: (row) => (
                <span title={row.statusReason ?? undefined}>
                  <Status tone={toneOf(row.status)}>{row.status}</Status>
                </span>
              ),
            },
            { title: 'Aliases', cell: (row) => row.aliases.join(', ') || '–' },
            { title: 'Engine', cell: (row) => row.engine },
            { title: 'One run', kind: 'number', cell: (row) => duration(row.validation?.inferMs) },
            {
              title: 'Memory',
              kind: 'number',
              cell: (row) => bytes(row.measuredMemoryBytes ?? row.estimatedMemoryBytes),
            },
            { title: 'Made', cell: (row) => <When at={row.createdAt} /> },
            { title: 'By', cell: (row) => row.createdBy },
          ]}
        />
      </Section>
      <Loaded query={model}>{(seen) => <Aliases model={seen} />}</Loaded>
      <Section title="Card">
        {model.data?.card ? (
          <Markdown text={model.data.card} />
        ) : (
          <Empty command={`bin/slipway models update ${name} --card card.md`}>
            Nobody has written what this model is for, and what not.
          </Empty>
        )}
      </Section>
    </Page>
  );
}

function About({ model, endpoints }: { model: Model; endpoints: Endpoint[] }) {
  const using = endpoints.filter((one) => one.model === model.name);
  return (
    <Facts
      facts={[
        [
          'Served by',
          using.length === 0
            ? 'no endpoint'
            : using.map((one, i) => (
                <span key={one.name}>
                  {i > 0 && ', '}
                  <Link to={addressOf.endpoint(one.name)}>{one.name}</Link> ({one.status.servingVersion ?? '–'})
                </span>
              )),
        ],
        ['Latest version', model.latestVersion ?? 'none'],
        ['Made', <When key="at" at={model.createdAt} />],
        ['By', model.createdBy],
        [
          'Tags',
          Object.entries(model.tags)
            .map(([key, value]) => `${key}=${value}`)
            .join(', ') || 'none',
        ],
      ]}
    />
  );
}

function Aliases({ model }: { model: Model }) {
  const { client } = useProject();
  const refusal = useRefusal('promote', model.name);
  const [name, setName] = useState('champion');
  const [version, setVersion] = useState(String(model.latestVersion ?? 1));
  const rows = Object.entries(model.aliases);
  const before = model.aliases[name];
  return (
    <Section
      title="Aliases"
      actions={
        <Act
          text="Set an alias"
          refusal={refusal}
          withReason
          consequence="Endpoints that follow the alias serve the version as soon as it has answered a real inference."
          run={(reason) => client.aliases.set(model.name, name, Number(version), reason === '' ? {} : { reason })}
          done={`The alias ${name} names version ${version} now.`}
          {...(before === undefined
            ? {}
            : {
                undo: {
                  text: `Back to ${before}`,
                  run: () => client.aliases.set(model.name, name, before, { reason: 'undone' }),
                },
              })}
        >
          <label className="field">
            Alias
            <input required value={name} onChange={(event) => setName(event.target.value)} />
          </label>
          <label className="field">
            Version
            <input
              required
              type="number"
              min={1}
              value={version}
              onChange={(event) => setVersion(event.target.value)}
            />
          </label>
        </Act>
      }
    >
      {rows.length === 0 ? (
        <Empty command={`bin/slipway aliases set ${model.name} champion ${model.latestVersion ?? 1}`}>
          No alias names a version. Endpoints may follow one:
        </Empty>
      ) : (
        rows.map(([alias, current]) => <Alias key={alias} model={model.name} alias={alias} version={current} />)
      )}
    </Section>
  );
}

function Alias({ model, alias, version }: { model: string; alias: string; version: number }) {
  const { client, project } = useProject();
  const [open, setOpen] = useState(false);
  const history = useQuery({
    queryKey: ['registry', project, 'alias', model, alias],
    queryFn: () => client.aliases.history(model, alias, { limit: 50 }).page(),
    enabled: open,
  });
  return (
    <details className="row" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <strong>{alias}</strong> names {`${model}@${version}`}
        <span className="quiet"> · history</span>
      </summary>
      {open && (
        <Loaded query={history}>
          {({ items }) => (
            <Table
              label={`History of ${alias}`}
              idOf={(row) => row.at}
              rows={items}
              columns={[
                { title: 'When', cell: (row) => <When at={row.at} /> },
                { title: 'From → to', cell: (row) => `${row.from ?? '–'} → ${row.to ?? 'removed'}` },
                { title: 'By', cell: (row) => row.actor },
                { title: 'Reason', kind: 'wide', cell: (row) => row.reason ?? '–' },
              ]}
            />
          )}
        </Loaded>
      )}
    </details>
  );
}
