"""What speaks to AWS, as a program of its own inside the run's sandbox: it knows nothing of the service.

`python DIRECTORY plan|apply|destroy-plan|destroy REQUEST RESULT`, with the names of two JSON files. Events go to
standard output as they come. A failure is one line on standard error that begins with "Error:" and says what to do.
Credentials come from the environment alone. Begin to read with `commands`.
"""
