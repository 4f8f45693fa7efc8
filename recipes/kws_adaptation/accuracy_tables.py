def accuracy_sections(found, command):
    return []
