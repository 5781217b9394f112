import type { NewApiKey } from '@slipway/sdk';
import { useState } from 'react';
import { clientOf } from '../api.ts';
import { Act } from '../parts/act.tsx';

const VERBS = [
  ['read', 'look at everything'],
  ['predict', 'ask for predictions and send feedback'],
  ['deploy', 'upload, serve and roll out; includes read'],
  ['promote', 'move aliases, approve and promote; includes read'],
  ['code', 'register models whose own code runs'],
  ['admin', 'everything, keys and projects too'],
] as const;
const DAY_MS = 86_400_000;

export function CreateKey({ refusal, onMade }: { refusal: string | null; onMade: (key: NewApiKey) => void }) {
  const [name, setName] = useState('');
  const [verbs, setVerbs] = useState<readonly string[]>(['read']);
  const [model, setModel] = useState('');
  const [project, setProject] = useState('');
  const [days, setDays] = useState('90');
  const scopes = verbs.map((verb) => (model.trim() === '' || verb === 'admin' ? verb : `${verb}:${model.trim()}`));
  return (
    <Act
      text="Make a key"
      kind="main"
      refusal={refusal}
      consequence="The key is shown once. Give it no more than its user needs."
      run={async () => {
        onMade(
          await clientOf('default').keys.create({
            name,
            scopes,
            ...(project.trim() === '' ? {} : { project: project.trim() }),
            ...(days === '' ? {} : { expiresAt: new Date(Date.now() + Number(days) * DAY_MS).toISOString() }),
          }),
        );
        setName('');
      }}
      done="The key is made; it is shown above, this once."
    >
      <label className="field">
        Name
        <input required value={name} onChange={(event) => setName(event.target.value)} />
      </label>
      <fieldset className="field">
        <legend>May</legend>
        {VERBS.map(([verb, about]) => (
          <label className="check" key={verb}>
            <input
              type="checkbox"
              checked={verbs.includes(verb)}
              onChange={(event) =>
                setVerbs(event.target.checked ? [...verbs, verb] : verbs.filter((one) => one !== verb))
              }
            />
            <span>
              <strong>{verb}</strong> <span className="quiet">{about}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <label className="field">
        Only for the model (empty: all)
        <input value={model} onChange={(event) => setModel(event.target.value)} />
      </label>
      <label className="field">
        Only in the project (empty: all)
        <input value={project} onChange={(event) => setProject(event.target.value)} />
      </label>
      <label className="field">
        Days until it ends (empty: never)
        <input type="number" min={1} max={3650} value={days} onChange={(event) => setDays(event.target.value)} />
      </label>
    </Act>
  );
}
