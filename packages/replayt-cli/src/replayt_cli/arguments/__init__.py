"""What people write behind a command: options, targets, runs, inputs, stores."""
