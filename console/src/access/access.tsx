import type { ApiKey, NewApiKey } from '@slipway/sdk';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useSearchText } from '../address.ts';
import { clientOf } from '../api.ts';
import { Act } from '../parts/act.tsx';
import { Code } from '../parts/copy.tsx';
import { Empty, Facts, Page, Section } from '../parts/page.tsx';
import { Status, type Tone } from '../parts/status.tsx';
import { PAGE_ROWS, PagedTable } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';
import { useMe, useRefusal } from '../session.tsx';
import { CreateKey } from './create-key.tsx';

export function Access() {
  const me = useMe();
  const refusal = useRefusal('admin');
  const [made, setMade] = useState<NewApiKey | null>(null);
  return (
    <Page title="Access" actions={<CreateKey refusal={refusal} onMade={setMade} />}>
      <Facts
        facts={[
          ['You are', me.actor],
          ['Scopes', me.scopes.join(', ')],
          ['Project', me.project ?? 'all'],
        ]}
      />
      {made && (
        <div className="secret" role="alert">
          <p>
            <strong>The key {made.name}, shown this once.</strong> Whoever has it has its rights; nobody can show it
            again.
          </p>
          <Code title="API key" text={made.key} />
          {made.signingPair && (
            <Code
              title="For clients that sign as AWS's do"
              text={`${made.signingPair.accessKeyId}\n${made.signingPair.secretAccessKey}`}
            />
          )}
          <button type="button" onClick={() => setMade(null)}>
            I have kept it
          </button>
        </div>
      )}
      {refusal === null ? (
        <>
          <Keys onMade={setMade} />
          <Projects />
        </>
      ) : (
        <p>{refusal} Keys and projects are for administrators.</p>
      )}
    </Page>
  );
}

function stateOf(key: ApiKey): { tone: Tone; text: string } {
  if (key.revokedAt !== null) return { tone: 'bad', text: 'revoked' };
  if (key.expiresAt !== null && Date.parse(key.expiresAt) <= Date.now()) return { tone: 'warn', text: 'expired' };
  return { tone: 'good', text: 'live' };
}

function Keys({ onMade }: { onMade: (key: NewApiKey) => void }) {
  const client = clientOf('default');
  const after = useSearchText('after');
  const keys = useQuery({
    queryKey: ['access', 'keys', after],
    queryFn: () => client.keys.list({ limit: PAGE_ROWS }).page(after),
  });
  return (
    <Section title="Keys">
      <PagedTable<ApiKey>
        label="API keys"
        query={keys}
        idOf={(row) => row.id}
        empty={<Empty command="bin/slipway keys create shop --scope predict">There is no key.</Empty>}
        columns={[
          { title: 'Name', cell: (row) => row.name },
          { title: 'State', cell: (row) => <Status tone={stateOf(row).tone}>{stateOf(row).text}</Status> },
          { title: 'Scopes', cell: (row) => row.scopes.join(', ') },
          { title: 'Project', cell: (row) => row.project ?? 'all' },
          { title: 'Last used', cell: (row) => <When at={row.lastUsedAt} /> },
          { title: 'Expires', cell: (row) => (row.expiresAt === null ? 'never' : <When at={row.expiresAt} />) },
          { title: 'Id', cell: (row) => <code>{row.id}</code> },
          {
            title: 'Change',
            cell: (row) =>
              row.revokedAt === null && (
                <span className="row-of tight">
                  <Act
                    text="Rotate"
                    consequence={`Makes a second live key ${row.name} with the same rights. The first stays valid until it is revoked.`}
                    run={async () => onMade(await client.keys.rotate(row.id))}
                    done={`${row.name} has a second key; revoke the first when nobody uses it any more.`}
                  />
                  <Act
                    text="Revoke"
                    kind="danger"
                    typeName={row.name}
                    consequence={`Whoever uses ${row.name} (${row.id}) is refused at once, for good.`}
                    run={() => client.keys.revoke(row.id)}
                    done={`The key ${row.name} is revoked.`}
                  />
                </span>
              ),
          },
        ]}
      />
    </Section>
  );
}

function Projects() {
  const client = clientOf('default');
  const queries = useQueryClient();
  const [name, setName] = useState('');
  const after = useSearchText('projects');
  const projects = useQuery({
    queryKey: ['access', 'projects', after],
    queryFn: () => client.projects.list({ limit: PAGE_ROWS }).page(after),
  });
  return (
    <Section
      title="Projects"
      actions={
        <Act
          text="Make a project"
          consequence="A project keeps models, endpoints and keys apart from those of others."
          run={async () => {
            await client.projects.create(name);
            setName('');
            await queries.invalidateQueries({ queryKey: ['access'] });
          }}
          done="The project is there."
        >
          <label className="field">
            Name
            <input required value={name} onChange={(event) => setName(event.target.value)} />
          </label>
        </Act>
      }
    >
      <PagedTable
        label="Projects"
        word="projects"
        query={projects}
        idOf={(row) => row.name}
        empty={<Empty command="bin/slipway projects create fraud">There is no project.</Empty>}
        columns={[
          { title: 'Name', cell: (row) => row.name },
          { title: 'Made', cell: (row) => <When at={row.createdAt} /> },
          {
            title: 'Change',
            cell: (row) =>
              row.name !== 'default' && (
                <Act
                  text="Delete"
                  kind="danger"
                  typeName={row.name}
                  consequence={`The project ${row.name} goes with its keys. The server refuses it while anything else is in it.`}
                  run={() => client.projects.remove(row.name)}
                  done={`The project ${row.name} is gone.`}
                />
              ),
          },
        ]}
      />
    </Section>
  );
}
