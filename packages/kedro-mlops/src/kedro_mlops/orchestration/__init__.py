"""The loop on a schedule: registered pipelines come in; files of schedulers go out.

``loop`` has it as data: tasks, what they wait for, what they run. ``passing`` says what would be
lost between them. Of the others, each writes the files of one scheduler.
"""
