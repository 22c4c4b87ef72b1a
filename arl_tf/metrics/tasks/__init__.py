"""What depends on the kind of task: loss, decisions, utility and served outputs, an object each."""
