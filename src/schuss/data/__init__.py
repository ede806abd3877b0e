"""From any table to a `Dataset`: read, encoded, split, and ready to train on."""

from schuss.data.dataset import Dataset, Part, load, split_rows
from schuss.data.encoding import Encoding
from schuss.data.problems import PROBLEMS
from schuss.data.reading import read_table

__all__ = ["PROBLEMS", "Dataset", "Encoding", "Part", "load", "read_table", "split_rows"]
