"""What jobs do with wandb.log, one habit a scenario: each must give the rows wandb gives."""

OPEN = """
import math, os, sys, threading
import wandb
run = wandb.init(project="p", id="r1")
"""

SCENARIOS = {
    "no step given": "for i in range(20): wandb.log({'loss': 1 / (i + 1), 'i': i})",
    "steps given": "for i in range(0, 60, 3): wandb.log({'loss': i * 0.5}, step=i)",
    "several calls for one step": """
for i in range(10):
    wandb.log({'a': i}, step=i)
    wandb.log({'b': -i}, step=i)
""",
    "commit=False collects": """
for i in range(5):
    wandb.log({'a': i}, commit=False)
    wandb.log({'b': i})
wandb.log({'last': 1}, commit=False)
""",
    "commit=True ends a given step": """
wandb.log({'a': 1}, step=4, commit=True)
wandb.log({'a': 2})
wandb.log({'a': 3}, step=9)
wandb.log({'a': 4}, commit=True)
wandb.log({}, commit=True)
wandb.log({'a': 5})
""",
    "positional step and commit": """
wandb.log({'a': 1}, 5, False)
wandb.log({'a': 2}, 6, True)
wandb.log({'a': 3}, 7)
""",
    "rows wandb drops": """
wandb.log({'a': 1}, step=10)
wandb.log({'a': 2}, step=5)
wandb.log({'b': 3}, step=10)
wandb.log({'a': 4}, step=11)
wandb.log({'a': 5}, step=-3)
""",
    "run.log": "for i in range(5): run.log({'a': i}); run.log({'b': i}, step=i + 1)",
    "nested dicts": """
wandb.log({'train': {'loss': 1.5, 'inner': {'acc': 0.25}}, 'flat': 2, 'empty': {}})
wandb.log({'a.b': 1, 'c': {'d': 2}})
""",
    "numpy scalars": """
import numpy as np
wandb.log({'f32': np.float32(0.1), 'f64': np.float64(0.1), 'i64': np.int64(7),
           'u8': np.uint8(200), 'f16': np.float16(0.5),
           'bool': np.bool_(True), 'zero_d': np.array(3.5)})
""",
    "not finite": """
wandb.log({'a': float('nan'), 'b': float('inf'), 'c': -float('inf'), 'd': 1.0})
import numpy as np
wandb.log({'a': np.float32('nan'), 'b': np.float64('inf'), 'n': {'x': float('nan')}})
""",
    "integers beyond 2^53": """
wandb.log({'a': 2**53 + 1, 'b': -2**62 - 3, 'c': 2**63 - 1, 'd': 1e308, 'e': 5e-324})
""",
    "what is no number": """
wandb.log({'text': 'hello', 'flag': True, 'none': None, 'list': [1, 2], 'tuple': (1, 2),
           'hist': wandb.Histogram([1, 2, 3]), 'number': 1, 'html': wandb.Html('<p>x</p>')})
""",
    "changed after it was logged": """
import numpy as np
row, array = {'a': 1, 'inner': {'x': 1}}, np.array(2.0)
row['array'] = array
wandb.log(row)
row['a'], row['inner']['x'] = 99, 99
array += 40
wandb.log({'b': 1})
""",
    "define_metric": """
wandb.define_metric('epoch')
wandb.define_metric('val/*', step_metric='epoch')
wandb.define_metric('test', step_metric='epoch', hidden=True)
wandb.log({'val/acc': 0.1})
wandb.log({'epoch': 1})
wandb.log({'val/acc': 0.2})
wandb.log({'test': 5}, step=10)
wandb.log({'epoch': 2.5}, step=10)
wandb.log({'val/acc': 0.3, 'other': 1}, step=11)
wandb.log({'test': 6}, step=12)
""",
    "threads": """
def work(name):
    for i in range(50): wandb.log({name: i})
threads = [threading.Thread(target=work, args=(f't{n}',)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
""",
    "odd names": r"""
wandb.log({'a/b': 1, 'ü ñ': 2, 'quote"s': 3, 'tab\t': 4, '日本': 5, '_mine': 6, '100%': 7})
""",
    "own timestamp and step keys": """
wandb.log({'_timestamp': 123.5, '_step': 77, 'a': 1})
wandb.log({'a': 2})
""",
    "wide rows": "for i in range(3): wandb.log({f'm{n}': n * i for n in range(3000)})",
    "a little of everything": """
import numpy as np
for i in range(5): wandb.log({'a': i, 'inner': {'third': i / 3}})
wandb.log({'b': 1}, step=9)
wandb.log({'b': 2, 'late': np.float32(0.1)}, 9, True)
run.log({'c': float('nan')}, commit=False)
run.log({'d': -float('inf'), 'text': 'no number'})
wandb.log({'gone': 1}, step=2)
wandb.log({'last': 2**53 + 1}, commit=False)
""",
}
