"""How time, memory and answers are measured: in processes of their own, beside the bare decode loop."""
