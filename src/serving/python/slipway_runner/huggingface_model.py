"""Folders that transformers saved: texts to classes, to tokens with their classes, or to one vector."""

import json
import os

from .models import package_versions
from .values import numpy, to_tensor

CLASSES = {
    "classify": "AutoModelForSequenceClassification",
    "tokens": "AutoModelForTokenClassification",
    "embed": "AutoModel",
}


def load(options, signature, entry):
    # Whatever is not in the folder is not fetched.
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    import torch
    import transformers

    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(".")
    model = getattr(transformers, CLASSES[options["task"]]).from_pretrained(".", use_safetensors=True).eval()
    return HuggingFaceModel(torch, tokenizer, model, options["task"], signature)


class HuggingFaceModel:
    def __init__(self, torch, tokenizer, model, task, signature):
        self._torch = torch
        self._tokenizer = tokenizer
        self._model = model
        self._task = task
        self._outputs = signature["outputs"]
        self.about = package_versions("transformers", "torch", "tokenizers")

    def run(self, tensors):
        texts = tensors[0].data
        values = getattr(self, f"_{self._task}")(texts) if texts else self._nothing()
        return [to_tensor(values[spec["name"]], spec) for spec in self._outputs]

    def _nothing(self):
        return {spec["name"]: numpy.empty([0, *(max(size, 0) for size in spec["shape"][1:])]) for spec in self._outputs}

    def _encode(self, texts, **more):
        limit = min(self._tokenizer.model_max_length, getattr(self._model.config, "max_position_embeddings", 512))
        return self._tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt", **more)

    def _forward(self, encoded):
        with self._torch.inference_mode():
            return self._model(**encoded)

    def _classify(self, texts):
        scores = self._forward(self._encode(texts)).logits.softmax(-1)
        names = self._model.config.id2label
        return {"label": [names[int(one)] for one in scores.argmax(-1)], "scores": scores}

    def _tokens(self, texts):
        encoded = self._encode(texts, return_offsets_mapping=True, return_special_tokens_mask=True)
        offsets, special = encoded.pop("offset_mapping"), encoded.pop("special_tokens_mask")
        scores = self._forward(encoded).logits.softmax(-1)
        best = scores.argmax(-1)
        names = self._model.config.id2label
        found = []
        for row, text in enumerate(texts):
            entities = []
            for at, (start, end) in enumerate(offsets[row].tolist()):
                label = names[int(best[row, at])]
                if special[row, at] or label == "O":
                    continue
                score = float(scores[row, at, best[row, at]])
                entities.append({"entity": label, "score": score, "word": text[start:end], "start": start, "end": end})
            found.append(json.dumps(entities, ensure_ascii=False))
        return {"entities": found}

    def _embed(self, texts):
        encoded = self._encode(texts)
        hidden = self._forward(encoded).last_hidden_state
        mask = encoded["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return {"embedding": (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)}
